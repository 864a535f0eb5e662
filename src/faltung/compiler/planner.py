"""Which algorithm takes a problem: the first, from special to general, that does not refuse."""

from dataclasses import dataclass

from faltung.compiler.algorithms import (
    dense_plan,
    dense_weight_plan,
    depthwise,
    pooling,
    pooling_gradient,
    pooling_scatter,
    winograd_plan,
    winograd_weight_plan,
)
from faltung.compiler.plan import Algorithm, Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

ALGORITHMS: tuple[Algorithm, ...] = (
    depthwise,
    winograd_plan,
    winograd_weight_plan,
    dense_plan,
    dense_weight_plan,
    pooling,
    pooling_gradient,
    pooling_scatter,
)


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
    """

    problem: Problem
    target: Target
    plan: Plan
    otherwise: Plan | None
    refusals: tuple[tuple[str, str], ...]


def explain(problem: Problem, target: Target, threads: int) -> Explanation:
    """Return the plan that runs, and why the others do not.

    Raises:
        NoAlgorithmError: No algorithm takes the problem; the message holds what each says.
    """
    chosen: tuple[str, Plan] | None = None
    otherwise: Plan | None = None
    refusals = []
    for algorithm in ALGORITHMS:
        sentence = algorithm.refuses(problem, target)
        if sentence is not None:
            refusals.append((algorithm.NAME, sentence))
        elif chosen is None:
            chosen = algorithm.NAME, algorithm.plans(problem, target, threads)[0]
        else:
            refusals.append((algorithm.NAME, f"{chosen[0]}, which is more special, takes it"))
            if chosen[1].guarded and otherwise is None:
                otherwise = algorithm.plans(problem, target, threads)[0]
    if chosen is None:
        said = "; ".join(f"{name}: {sentence}" for name, sentence in refusals)
        raise NoAlgorithmError(f"no algorithm takes {problem}: {said}")
    return Explanation(problem, target, chosen[1], otherwise, tuple(refusals))
