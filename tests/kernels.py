"""Run kernels on tensors that lie against memory that may not be touched.

Every tensor and the workspace lie in an arena of their own between two unreadable pages, and either
begin just behind the one or end just before the other, so that a kernel that reads or writes one
element too far ends the process.
"""

import ctypes
import mmap
import struct
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

from faltung.compiler import machine
from faltung.compiler.call import ADDRESSES
from faltung.compiler.plan import Algorithm, Plan, Spec
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

PAGE = mmap.PAGESIZE
UNTOUCHED = 77.0  # what memory that no kernel should write holds
KINDS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class Arena:
    """Memory between two pages that may be neither read nor written."""

    def __init__(self, size: int) -> None:
        whole = -(-size // PAGE) * PAGE
        self.memory = mmap.mmap(-1, whole + 2 * PAGE)
        first = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for page in (first, first + PAGE + whole):
            if protect(page, PAGE, 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self.size = whole

    def place(self, count: int, dtype: torch.dtype, at_end: bool) -> Tensor:
        """Return `count` elements at one end of the memory."""
        offset = PAGE + (self.size - count * dtype.itemsize if at_end else 0)
        return torch.frombuffer(self.memory, dtype=dtype, count=count, offset=offset)


@cache
def arena(number: int, size: int) -> Arena:
    """Return one of the arenas of a size; they are used again and again."""
    return Arena(size)


def extent(x: Tensor) -> int:
    """Return how many elements there are from a tensor's first to its last."""
    return 1 + sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))


def fenced(number: int, x: Tensor, at_end: bool) -> Tensor:
    """Return the tensor, gaps included, in an arena.

    Args:
        number: Which arena; a test gives each of its tensors another one.
        x: A tensor of any strides that are not negative.
        at_end: It ends just before the unreadable page, else begins just behind one.
    """
    count = extent(x)
    size = 1 << max(count * x.element_size() - 1, PAGE).bit_length()
    held = arena(number, size).place(count, x.dtype, at_end)
    held.copy_(x.as_strided((count,), (1,)))
    return held.as_strided(x.shape, x.stride())


def blank(like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return a tensor with these strides in which nothing is written yet."""
    kind = like.dtype if dtype is None else dtype
    return torch.full((extent(like),), UNTOUCHED, dtype=kind).as_strided(like.shape, like.stride())


def gaps_untouched(y: Tensor) -> bool:
    """Say whether everything between the elements of a `blank` tensor is as it was."""
    flat = y.as_strided((extent(y),), (1,)).clone()
    flat.as_strided(y.shape, y.stride()).fill_(UNTOUCHED)
    return bool((flat == UNTOUCHED).all())


_kernels: dict[tuple[Spec, Target], machine.Loaded] = {}


def loaded(spec: Spec, target: Target) -> machine.Loaded:
    """Return a kernel, compiled once a process."""
    key = spec, target
    if key not in _kernels:
        payload = machine.compile_object(spec.emit(target).text(), target)
        _kernels[key] = machine.load_object(payload)
    return _kernels[key]


@dataclass(frozen=True)
class Case:
    """A kernel on tensors.

    Attributes:
        algorithm: What plans it.
        problem: What is asked; kind and strides are the tensors'.
        target: The CPU.
        threads: Threads of the team.
        at_end: The side of the arenas on which tensors lie.
    """

    algorithm: Algorithm
    problem: Problem
    target: Target
    threads: int = 1
    at_end: bool = True

    def asked(self, first: Tensor, output: Tensor) -> Problem:
        """Return the problem for these tensors."""
        strides = [(*map(int, x.stride()),) for x in (first, output)]
        return replace(
            self.problem,
            kind=KINDS[first.dtype],
            strides=(strides[0], (0, 0, 0, 0), strides[1]),  # type: ignore[arg-type]
        )

    def refuses(self, first: Tensor, output: Tensor) -> str | None:
        """Return why the algorithm does not take these tensors, or None."""
        return self.algorithm.refuses(self.asked(first, output), self.target)

    def plan(self, first: Tensor, output: Tensor) -> Plan:
        """Return the plan for these tensors."""
        assert self.refuses(first, output) is None
        return self.algorithm.plans(self.asked(first, output), self.target, self.threads)[0]

    def run(self, first: Tensor, second: Tensor | None, output: Tensor) -> tuple[Tensor, ...]:
        """Return `output` and `second` as the kernel leaves them, on all threads."""
        y, at, _ = self.called(first, second, output)
        return (y,) if at is None else (y, at)

    def called(
        self, first: Tensor, second: Tensor | None, output: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return `output`, `second` and the workspace as the kernel leaves them."""
        plan = self.plan(first, output)
        x, y = fenced(0, first, self.at_end), fenced(1, output, self.at_end)
        at = None if second is None else fenced(2, second, self.at_end)
        bytes_needed = plan.workspace // plan.threads * self.threads
        room = fenced(3, torch.full((max(bytes_needed // 4, 16),), float("nan")), self.at_end)
        if plan.guarded:
            room[: 2 * self.threads] = 0  # flags
        addresses = (x.data_ptr(), 0 if at is None else at.data_ptr(), 0, y.data_ptr())
        for step in plan.steps:
            block = ADDRESSES(*addresses, room.data_ptr(), 0, 0)
            block += struct.pack(f"{len(step.numbers)}q", *step.numbers)
            loaded(step.spec, self.target).run(block, self.threads)
        return y, at, room
