"""A plan made ready to be called: its kernels loaded, its numbers packed."""

import ctypes
import itertools
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from faltung.compiler import kernel
from faltung.compiler.plan import POINTERS, Plan, Preparation, Step
from faltung.compiler.target import Target

ADDRESSES = struct.Struct(f"{POINTERS}q").pack

Ready = tuple[tuple[Callable[[bytes, int], None], bytes, bool], ...]
LINE = 64  # bytes of a cache line, at which a workspace begins
LIMIT = 8192  # preparations that are told apart; then all are forgotten

_tokens: dict[tuple[Step, ...], int] = {}
_numbers = itertools.count()  # two threads never get the same


@dataclass(frozen=True, eq=False)
class Call:
    """A plan that only needs addresses.

    Attributes:
        plan: What is called.
        target: The CPU it is made for.
        steps: What is called where the weights are prepared: machine code, packed numbers, and
            whether it guards.
        anew: What is called where they are not.
        prepared: Bytes at the start of the workspace for weights that are prepared anew.
        workspace: Bytes of workspace to be given.
        less: Bytes of workspace to be given where the weights are prepared.
        threads: Threads that run it.
        keeps: What is done with weights that are worth keeping, or None.
        token: Calls of the same token prepare weights in the same way.
        otherwise: What runs instead where a guarded plan finds numbers that it cannot treat.
        alone: The machine code and numbers of a call that is one step and neither guards nor
            prepares weights.
    """

    plan: Plan
    target: Target
    steps: Ready
    anew: Ready
    prepared: int
    workspace: int
    less: int
    threads: int
    keeps: Preparation | None = None
    token: int = 0
    otherwise: "Call | None" = None
    alone: tuple[Callable[[bytes, int], None], bytes] | None = None

    def __call__(
        self,
        first: int,
        second: int,
        third: int,
        output: int,
        workspace: int,
        prepared: int = 0,
        summand: int = 0,
    ) -> bool:
        """Run all steps on these addresses (0 where there is none).

        Returns:
            Whether the output is written: False where the plan found numbers that it cannot treat,
            and there is nothing to run instead.
        """
        if self.alone is not None:
            code, numbers = self.alone
            block = ADDRESSES(first, second, third, output, workspace, 0, summand)
            code(block + numbers, self.threads)
            return True
        room, steps = workspace, self.steps
        if prepared == 0 and self.prepared:
            steps, prepared, room = self.anew, workspace, workspace + self.prepared
        block = ADDRESSES(first, second, third, output, room, prepared, summand)
        if self._finished(steps, block, room):
            return True
        if self.otherwise is None:
            return False
        # It hardly ever runs: memory for it is not held ready.
        spare = ctypes.create_string_buffer(self.otherwise.workspace + LINE)
        room = -(-ctypes.addressof(spare) // LINE) * LINE
        return self.otherwise(first, second, third, output, room, 0, summand)

    def prepare_weights(self, weights: int, prepared: int, workspace: int) -> bool:
        """Prepare weights that are to be kept; return whether the plan can treat them."""
        steps = () if self.keeps is None else _loaded(self.keeps.steps, self.target)
        block = ADDRESSES(0, weights, 0, 0, workspace, prepared, 0)
        return self._finished(steps, block, workspace)

    def _finished(self, steps: Ready, block: bytes, room: int) -> bool:
        """Run steps until one finds numbers that it cannot treat; return whether none did."""
        for run, numbers, guards in steps:
            if guards:
                # A team may turn out smaller than asked; then the flags of the others stay as here.
                ctypes.memset(room, 0, 8 * self.threads)
            run(block + numbers, self.threads)
            if guards and any(ctypes.string_at(room, 8 * self.threads)):
                return False
        return True


def ready(plan: Plan, target: Target, otherwise: Plan | None = None) -> Call:
    """Load (or compile) the kernels of a plan, and of what runs where it cannot."""
    first = plan.preparation
    other = None if otherwise is None else ready(otherwise, target)
    anew = steps = _loaded(plan.steps, target)
    prepared, more, token, keeps = 0, 0, 0, None
    if first is not None:
        if not first.optional:
            prepared, anew = first.size, _loaded(first.steps, target) + steps
        more = prepared + first.without
        if first.pays:
            if len(_tokens) >= LIMIT:
                _tokens.clear()
            token, keeps = _tokens.setdefault(first.steps, next(_numbers)), first
    room, less = more + plan.workspace, plan.workspace
    alone = None
    if first is None and len(steps) == 1 and not steps[0][2]:
        alone = steps[0][:2]
    return Call(
        plan, target, steps, anew, prepared, room, less, plan.threads, keeps, token, other, alone
    )  # fmt: skip


def _loaded(steps: Iterable[Step], target: Target) -> Ready:
    return tuple(
        (
            kernel.get(step.spec, target).code.run,
            struct.pack(f"{len(step.numbers)}q", *step.numbers),
            step.guards,
        )
        for step in steps
    )
