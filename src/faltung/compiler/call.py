"""A plan made ready to be called: its kernels loaded, its numbers packed."""

import ctypes
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
        otherwise: What runs instead where a guarded plan finds numbers that it cannot treat.
    """

    plan: Plan
    steps: tuple[tuple[Callable[[bytes, int], None], bytes], ...]
    workspace: int
    threads: int
    otherwise: "Call | None" = None

    def __call__(self, first: int, second: int, third: int, output: int, workspace: int) -> None:
        """Run all steps on these addresses (0 where there is none)."""
        block = ADDRESSES(first, second, third, output, workspace)
        for run, numbers in self.steps:
            if self.otherwise is not None:
                # A team may turn out smaller than asked; then the flags of the others stay as here.
                ctypes.memset(workspace, 0, 8 * self.threads)
            run(block + numbers, self.threads)
            if self.otherwise is not None and any(
                (ctypes.c_int64 * self.threads).from_address(workspace)
            ):
                self.otherwise(first, second, third, output, workspace)
                return


def ready(plan: Plan, target: Target, otherwise: Plan | None = None) -> Call:
    """Load (or compile) the kernels of a plan, and of what runs where it cannot."""
    steps = tuple(
        (
            kernel.get(step.spec, target).code.run,
            struct.pack(f"{len(step.numbers)}q", *step.numbers),
        )
        for step in plan.steps
    )
    other = None if otherwise is None else ready(otherwise, target)
    room = plan.workspace if other is None else max(plan.workspace, other.workspace)
    return Call(plan, steps, room, plan.threads, other)
