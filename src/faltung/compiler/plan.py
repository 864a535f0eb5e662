"""How a problem is solved: the kernels that are called, in order, and the memory they take.

Every kernel is called with the address of a block of 64-bit integers. The first five are addresses:

| operation | 0 | 1 | 2 | 3 | 4 |
|---|---|---|---|---|---|
| conv forward | x | weight | bias or 0 | y | workspace |
| conv input | dy | weight | bias or 0 | dx | workspace |
| conv weight | x | dy | db or 0 | dw | workspace |
| max, min forward | x | positions (int64, dense as y) or 0 | 0 | y | workspace |
| max, min input | dy | positions (int64, dense as dy) | 0 | dx | workspace |
| avg forward / input | x / dy | 0 | 0 | y / dx | workspace |

The others are the numbers of the step. The workspace is aligned to 64 bytes and holds anything
when a step begins.
"""

from dataclasses import dataclass
from typing import Protocol

from faltung.compiler.emit import Program
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

POINTERS = 5


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
    """

    spec: Spec
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """A way to solve a problem.

    Attributes:
        algorithm: Name of the algorithm.
        schedule: What was decided, for people.
        steps: Calls in order.
        workspace: Bytes of workspace.
        threads: Threads of the team.
        cost: Expected seconds.
        guarded: A step may find numbers that it cannot treat; then it leaves a 64-bit flag other
            than 0 in the workspace, in one of the first `threads` places, and another algorithm
            has to run instead.
    """

    algorithm: str
    schedule: str
    steps: tuple[Step, ...]
    workspace: int
    threads: int
    cost: float = 0.0
    guarded: bool = False


class Algorithm(Protocol):
    """A file of `algorithms`."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of a module
        """What the algorithm is called."""

    def refuses(self, problem: Problem, target: Target) -> str | None:
        """Return the sentence that says why this algorithm does not take a problem, or None."""

    def plans(self, problem: Problem, target: Target, threads: int) -> list[Plan]:
        """Return candidates, the best first."""
