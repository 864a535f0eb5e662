"""How a problem is solved: the kernels that are called, in order, and the memory they take.

Every kernel is called with the address of a block of 64-bit integers. The first seven are
addresses; the fifth is the workspace:

| operation | 0 | 1 | 2 | 3 | 5 | 6 |
|---|---|---|---|---|---|---|
| conv forward | x | weight | bias or 0 | y | prepared weights | summand (as y) or 0 |
| conv input | dy | weight | bias or 0 | dx | prepared weights | 0 |
| conv weight | x | dy | db or 0 | dw | | |
| max, min forward | x | positions (int64, dense as y) or 0 | 0 | y | | |
| max, min input | dy | positions (int64, dense as dy) | 0 | dx | | |
| avg forward / input | x / dy | 0 | 0 | y / dx | | |

The others are the numbers of the step. The workspace is aligned to 64 bytes and holds anything
when the first step begins, later what the steps before have left there.
"""

from dataclasses import dataclass
from typing import Protocol

from faltung.compiler.emit import Program
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

WORKSPACE, PREPARED, SUMMAND = 4, 5, 6
POINTERS = 7


class Spec(Protocol):
    """What a kernel is specialised on: a frozen dataclass, whose `repr` names the kernel."""

    def emit(self, target: Target) -> Program:
        """Write the kernel."""


@dataclass(frozen=True)
class Step:
    """One call of a kernel.

    Attributes:
        spec: The kernel.
        numbers: What follows the addresses in its argument block.
        guards: It may find numbers that the plan cannot treat; then it leaves a 64-bit flag other
            than 0 in the workspace, in one of the first `threads` places.
        computes: It writes something else than flags.
    """

    spec: Spec
    numbers: tuple[int, ...]
    guards: bool = False
    computes: bool = True


@dataclass(frozen=True)
class Preparation:
    """Weights in the order in which the steps of a plan read them.

    Attributes:
        size: Bytes.
        steps: The calls that write them; equal ones write the same for the same weights.
        optional: The steps of the plan do without where the address of prepared weights is 0.
        pays: It is worth keeping them for as long as the weights stay what they are.
        without: Bytes of workspace more that the steps take where they do without.
    """

    size: int
    steps: tuple[Step, ...]
    optional: bool
    pays: bool
    without: int = 0


@dataclass(frozen=True)
class Plan:
    """A way to solve a problem.

    Attributes:
        algorithm: Name of the algorithm.
        schedule: What was decided, for people.
        steps: Calls in order.
        workspace: Bytes of workspace, prepared weights not among them.
        threads: Threads of the team.
        cost: Expected seconds.
        preparation: What is done with the weights first, or None.
    """

    algorithm: str
    schedule: str
    steps: tuple[Step, ...]
    workspace: int
    threads: int
    cost: float = 0.0
    preparation: Preparation | None = None

    @property
    def guarded(self) -> bool:
        """A step may find numbers that it cannot treat; then something else has to run instead."""
        return any(step.guards for step in self.called)

    @property
    def exact(self) -> bool:
        """Sums of products are computed as they stand: whole numbers give whole numbers."""
        return not any(step.guards and step.computes for step in self.called)

    @property
    def called(self) -> tuple[Step, ...]:
        """All steps, those that prepare weights first."""
        return (() if self.preparation is None else self.preparation.steps) + self.steps


class Algorithm(Protocol):
    """A file of `algorithms`."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of a module
        """What the algorithm is called."""

    def refuses(self, problem: Problem, target: Target) -> str | None:
        """Return the sentence that says why this algorithm does not take a problem, or None."""

    def plans(self, problem: Problem, target: Target, threads: int) -> list[Plan]:
        """Return candidates, the best first."""
