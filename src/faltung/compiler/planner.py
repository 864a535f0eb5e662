"""Which algorithm takes a problem: the first, from special to general, that does not refuse."""

from dataclasses import dataclass

from faltung.compiler.algorithms import dense_plan, dense_weight_plan
from faltung.compiler.plan import Algorithm, Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

ALGORITHMS: tuple[Algorithm, ...] = (dense_plan, dense_weight_plan)


@dataclass(frozen=True)
class Explanation:
    """Why a plan is what it is.

    Attributes:
        problem: What is asked.
        target: For which CPU.
        plan: What runs.
        refusals: For each algorithm that does not run, its name and the sentence that says why.
    """

    problem: Problem
    target: Target
    plan: Plan
    refusals: tuple[tuple[str, str], ...]


def plan(problem: Problem, target: Target, threads: int) -> Plan:
    """Return the plan that runs.

    Raises:
        ValueError: No algorithm takes the problem; the message holds what each says.
    """
    return explain(problem, target, threads).plan


def explain(problem: Problem, target: Target, threads: int) -> Explanation:
    """Return the plan that runs, and why the others do not.

    Raises:
        ValueError: No algorithm takes the problem; the message holds what each says.
    """
    chosen: tuple[str, Plan] | None = None
    refusals = []
    for algorithm in ALGORITHMS:
        sentence = algorithm.refuses(problem, target)
        if sentence is None and chosen is None:
            chosen = algorithm.NAME, algorithm.plans(problem, target, threads)[0]
        elif sentence is None and chosen is not None:
            refusals.append((algorithm.NAME, f"{chosen[0]}, which is more special, takes it"))
        elif sentence is not None:
            refusals.append((algorithm.NAME, sentence))
    if chosen is None:
        said = "; ".join(f"{name}: {sentence}" for name, sentence in refusals)
        raise ValueError(f"no algorithm takes {problem}: {said}")
    return Explanation(problem, target, chosen[1], tuple(refusals))
