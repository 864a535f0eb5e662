"""Which algorithm takes a problem: one that a setting names, else the one remembered from tuning.

Else it is the first that takes it; algorithms are asked from special to general.
"""

from dataclasses import dataclass

from faltung.compiler import memory
from faltung.compiler.algorithms import (
    amx_plan,
    amx_weight_plan,
    dense_plan,
    dense_weight_plan,
    depthwise,
    narrow_plan,
    planar_plan,
    pooling,
    pooling_gradient,
    pooling_scatter,
    pooling_tiles,
    winograd_plan,
    winograd_weight_plan,
)
from faltung.compiler.plan import Algorithm, Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target
from faltung.settings import algorithms

ALGORITHMS: tuple[Algorithm, ...] = (
    narrow_plan,
    depthwise,
    amx_plan,
    amx_weight_plan,
    winograd_plan,
    winograd_weight_plan,
    planar_plan,
    dense_plan,
    dense_weight_plan,
    pooling,
    pooling_gradient,
    pooling_tiles,
    pooling_scatter,
)
FIRST = "the first that takes it"
NAMED = "named by FALTUNG_ALGORITHM"


class NoAlgorithmError(ValueError):
    """A problem that no algorithm takes; the message holds what each says."""


@dataclass(frozen=True)
class Explanation:
    """Why a plan is what it is.

    Attributes:
        problem: What is asked.
        target: For which CPU.
        plan: What runs.
        otherwise: What runs where a guarded plan finds numbers that it cannot treat.
        refusals: For each algorithm that does not run, its name and the sentence that says why.
        reason: Why this algorithm runs and not another that takes the problem.
    """

    problem: Problem
    target: Target
    plan: Plan
    otherwise: Plan | None
    refusals: tuple[tuple[str, str], ...]
    reason: str


def explain(problem: Problem, target: Target, threads: int) -> Explanation:
    """Return the plan that runs, and why the others do not.

    Raises:
        ArgumentError: The setting names what is no algorithm.
        NoAlgorithmError: No algorithm takes the problem; the message holds what each says.
    """
    named = algorithms([algorithm.NAME for algorithm in ALGORITHMS])
    said = [(algorithm, algorithm.refuses(problem, target)) for algorithm in ALGORITHMS]
    taking = [algorithm for algorithm, sentence in said if sentence is None]
    if not taking:
        words = "; ".join(f"{algorithm.NAME}: {sentence}" for algorithm, sentence in said)
        raise NoAlgorithmError(f"no algorithm takes {problem}: {words}")
    remembered = memory.choices().recall(memory.key(problem, target, threads))
    by_name = {a.NAME: a for a in taking}
    name = next((n for n in (*named, remembered) if n in by_name), None)
    if name is None:
        chosen, reason = taking[0], FIRST
        taken = f"{chosen.NAME}, which is more special, takes it"
    else:
        chosen = by_name[name]
        reason = NAMED if name in named else f"the fastest of {len(taking)} when tuned"
        taken = f"{chosen.NAME}, {reason}, takes it"
    plan = chosen.plans(problem, target, threads)[0]
    refusals = tuple((a.NAME, sentence or taken) for a, sentence in said if a is not chosen)
    instead = substitute(plan, taking, problem, target, threads)
    return Explanation(problem, target, plan, instead, refusals, reason)


def substitute(
    plan: Plan, taking: list[Algorithm], problem: Problem, target: Target, threads: int
) -> Plan | None:
    """Return what runs where a guarded plan cannot: a plan that is not guarded, else the last one.

    None stands for torch's own kernel, which runs where weights are not finite, and where the last
    plan cannot.

    Args:
        plan: The plan.
        taking: The algorithms that take the problem, from special to general.
        problem: What is asked.
        target: For which CPU.
        threads: Threads of the team.
    """
    if plan.exact:
        return None
    every = [other for a in taking for other in a.plans(problem, target, threads)]
    instead = next((other for other in every if not other.guarded), every[-1])
    return None if instead == plan else instead
