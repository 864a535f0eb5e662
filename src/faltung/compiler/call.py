"""A plan made ready to be called: its kernels loaded, its numbers packed."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from faltung.compiler import kernel
from faltung.compiler.plan import POINTERS, Plan
from faltung.compiler.target import Target

ADDRESSES = struct.Struct(f"{POINTERS}q").pack


@dataclass(frozen=True, eq=False)
class Call:
    """A plan that only needs addresses.

    Attributes:
        plan: What is called.
        steps: For each step the machine code and its packed numbers.
        workspace: Bytes of workspace to be given.
        threads: Threads that run it.
    """

    plan: Plan
    steps: tuple[tuple[Callable[[bytes, int], None], bytes], ...]
    workspace: int
    threads: int

    def __call__(self, first: int, second: int, third: int, output: int, workspace: int) -> None:
        """Run all steps on these addresses (0 where there is none)."""
        block = ADDRESSES(first, second, third, output, workspace)
        for run, numbers in self.steps:
            run(block + numbers, self.threads)


def ready(plan: Plan, target: Target) -> Call:
    """Load (or compile) the kernels of a plan."""
    steps = tuple(
        (
            kernel.get(step.spec, target).code.run,
            struct.pack(f"{len(step.numbers)}q", *step.numbers),
        )
        for step in plan.steps
    )
    return Call(plan, steps, plan.workspace, plan.threads)
