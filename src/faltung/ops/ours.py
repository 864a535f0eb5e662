"""Our kernels under the operators: tensors become problems, problems become calls.

A problem is looked up by a plain key of sizes and strides; only the first of its kind is planned.
Whatever a kernel does not address (no elements, other layouts than strided) goes to torch.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import _C, Tensor

from faltung.compiler import machine, planner
from faltung.compiler.call import Call, ready
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target, pretending
from faltung.geometry import windows
from faltung.ops import heap, kept
from faltung.ops.last import Last
from faltung.ops.memo import Memo
from faltung.ops.registry import empty, memory_format, slid
from faltung.ops.theirs import convolution as theirs
from faltung.ops.watching import float32_precision
from faltung.settings import instruction_set

Ints = list[int]
KINDS = {torch.float32: "f32", torch.bfloat16: "bf16"}

Known = tuple[Call, Any, Any]
SMALL = 1 << 24  # bytes of workspace that any call may take
FREED = 1 << 40  # addresses below may be distances in a storage that is freed
ROOM = 1 << 16  # bytes of workspace that a thread keeps

_known = Memo[tuple[Any, ...], Known | None]()
_last = Last[Known | None]()

# What torch's compiler makes its results with: size, strides, dtype; half the time of the other.
blank: Callable[[Any, Any, torch.dtype], Tensor] = getattr(
    getattr(getattr(_C, "_dynamo", None), "guards", None),
    "_empty_strided_cpu",
    lambda size, strides, dtype: torch.empty_strided(size, strides, dtype=dtype),
)


@cache
def target() -> Target:
    """Return the CPU that kernels are made for: this one, or the lesser one that is asked for."""
    wanted = instruction_set()
    return machine.host() if wanted is None else pretending(machine.host(), wanted)


def threads() -> int:
    """Return the number of threads a kernel may use: torch's."""
    return machine.team_size(torch.get_num_threads())


def usable(*tensors: Tensor | None) -> bool:
    """Say whether kernels can address these tensors: same type, with elements, plain memory."""
    present = [t for t in tensors if t is not None]
    dtypes = {t.dtype for t in present}
    return (
        len(dtypes) == 1
        and dtypes <= KINDS.keys()
        and all(
            t.layout is torch.strided
            and t.numel() > 0
            and t.device.type == "cpu"
            and not t.is_neg()
            for t in present
        )
    )


class _Small(threading.local):
    """Workspace that a thread keeps for small calls."""

    def __init__(self) -> None:
        self.room = torch.empty(ROOM, dtype=torch.uint8)
        self.address = self.room.data_ptr()


_small = _Small()


def run(
    call: Call,
    first: int,
    second: int,
    third: int,
    out: int,
    weights: Tensor | None = None,
    summand: int = 0,
) -> bool:
    """Run a call on addresses; a large workspace comes from torch's allocator and goes back.

    Args:
        call: The call.
        first: The addresses, as in `faltung.compiler.plan`.
        second: The second.
        third: The third.
        out: The fourth.
        weights: The tensor at `second`, where what is prepared from it may be kept.
        summand: The address of what is added, if anything is.

    Returns:
        Whether the output is written; see `Call`.
    """
    held, size = None, call.workspace
    if weights is not None and call.keeps is not None:
        held = kept.find(call, call.keeps, weights, second)
        if held is not None:
            size = call.less
    prepared = 0 if held is None else held.at
    if size <= ROOM:
        return call(first, second, third, out, _small.address, prepared, summand)
    room = torch.empty(size, dtype=torch.uint8)
    return call(first, second, third, out, room.data_ptr(), prepared, summand)


def key_of(name: str, tensors: Iterable[Tensor | None], numbers: Iterable[Any]) -> tuple[Any, ...]:
    """Return the plain key of a call: all that its plan depends on."""
    parts: list[Any] = [name, torch.get_num_threads(), float32_precision()]
    for t in tensors:
        parts += (None,) if t is None else (t.shape, t.stride(), t.dtype)
    parts += (tuple(n) if isinstance(n, list) else n for n in numbers)
    return tuple(parts)


def prepared(problem: Problem) -> Call | None:
    """Return the call that solves a problem, or None where no algorithm takes it."""
    cpu = target()
    try:
        found = planner.explain(problem, cpu, threads())
    except planner.NoAlgorithmError:
        return None
    plans = [plan for plan in (found.plan, found.otherwise) if plan is not None]
    if any(not _fits(plan, problem) for plan in plans):
        return None
    heap.keep_freed()
    return ready(found.plan, cpu, found.otherwise)


def _fits(plan: Plan, problem: Problem) -> bool:
    """Say whether workspace and expected time are in proportion to a problem, and numbers in range.

    They are not where padding or dilation is far larger than the image: torch is better there.
    """
    first = plan.preparation
    size = 0 if first is None else first.size + first.without
    numbers = (abs(number) for step in plan.called for number in step.numbers)
    if plan.workspace + size > SMALL + 4 * problem.bytes or max(numbers, default=0) >= 2**62:
        return False
    return problem.operation != "conv" or plan.cost < 1e-3 + (problem.macs + problem.bytes) / 1e9


def addresses(*tensors: Tensor | None) -> tuple[int, ...] | None:
    """Return where tensors begin (0 for None), or None where one has no memory as it reads.

    That is so for lazily negated views, for zeros without memory, and for freed storage.
    """
    found = []
    for t in tensors:
        if t is None:
            found.append(0)
            continue
        at = t.data_ptr()
        # Of a freed storage, whose memory begins at 0, torch gives the distance in it.
        if (at < FREED and at == t.storage_offset() * t.itemsize) or t.is_neg():
            return None
        found.append(at)
    return tuple(found)


def recalled(
    name: str,
    tensors: Sequence[Tensor | None],
    numbers: tuple[Any, ...],
    resolve: Callable[[], tuple[Call | None, Tensor] | None],
) -> Known | None:
    """Return the call of an operation, with size and strides of its result, or None for torch's.

    Args:
        name: What is computed.
        tensors: Its tensors.
        numbers: Its other arguments.
        resolve: Plans the call at its first use, and makes a tensor like its result.
    """
    present = [t for t in tensors if t is not None]
    about = (name, *[t.shape for t in present])
    last = _last.find(about, present)
    if last is not None and last[0] == numbers:
        return last[1]
    key = key_of(name, tensors, numbers)
    try:
        known = _known[key]
    except KeyError:
        found = resolve()
        call, out = found if found is not None else (None, None)
        known = None if call is None or out is None else (call, tuple(out.shape), out.stride())
        _known.note(key, known)
    _last.note(about, present, numbers, known)
    return known


def conv_problem(
    direction: str, first: Tensor, second: Tensor, out: Tensor, bias: bool, geometry: Sequence[Any]
) -> Problem:
    """Return the problem of a convolution in a direction, from its tensors."""
    stride, padding, dilation, groups, flip = geometry
    x, w, y = {
        "forward": (first, second, out),
        "input": (out, second, first),
        "weight": (first, out, second),
    }[direction]
    strides: Any = (first.stride(), second.stride(), out.stride())
    pairs: Any = [tuple(t.shape[2:]) for t in (x, y, w)]
    size, result, window = pairs
    return Problem(
        "conv", direction, x.shape[0], groups, x.shape[1], y.shape[1], size, result, window,
        tuple(stride), tuple(padding), tuple(dilation), flip, KINDS[first.dtype], strides, bias,
        precision=float32_precision(),
    )  # fmt: skip


def planned(
    direction: str,
    first: Tensor,
    second: Tensor,
    bias: Tensor | None,
    out: Tensor,
    geometry: Sequence[Any],
) -> tuple[Call | None, Tensor] | None:
    """Plan a convolution in a direction, or return None where kernels cannot address a tensor."""
    if not usable(first, second, bias) or out.numel() == 0:
        return None
    return prepared(conv_problem(direction, first, second, out, bias is not None, geometry)), out


def known_conv2d(
    x: Tensor, w: Tensor, bias: Tensor | None, geometry: Sequence[Any]
) -> Known | None:
    """Return the call of a convolution, or None where torch's runs."""

    def resolve() -> tuple[Call | None, Tensor] | None:
        stride, padding, dilation, _, _ = geometry
        out = slid(x, w.shape[0], windows(w.shape[2:], stride, padding, dilation), w)
        return planned("forward", x, w, bias, out, geometry)

    return recalled("conv2d", (x, w, bias), tuple(geometry), resolve)


def known_input_gradient(
    dy: Tensor, w: Tensor, bias: Tensor | None, size: Ints, geometry: Sequence[Any]
) -> Known | None:
    """Return the call of a transposed convolution, or None where torch's runs."""

    def resolve() -> tuple[Call | None, Tensor] | None:
        out = empty(dy, (dy.shape[0], w.shape[1] * geometry[3], *size), memory_format(dy, w))
        return planned("input", dy, w, bias, out, geometry)

    return recalled("conv2d_input_gradient", (dy, w, bias), (size, *geometry), resolve)


def known_weight_gradient(
    x: Tensor, dy: Tensor, window: Ints, with_bias: bool, geometry: Sequence[Any]
) -> Known | None:
    """Return the call of a weight gradient, or None where torch's runs."""

    def resolve() -> tuple[Call | None, Tensor] | None:
        shape = (dy.shape[1], x.shape[1] // geometry[3], *window)
        out = empty(x, shape, memory_format(x, dy))
        return planned("weight", x, dy, out[:, 0, 0, 0] if with_bias else None, out, geometry)

    numbers = (window, with_bias, *geometry)
    return recalled("conv2d_weight_gradient", (x, dy), numbers, resolve)


def convolved(
    known: Known | None,
    first: Tensor,
    w: Tensor,
    bias: Tensor | None = None,
    summand: Tensor | None = None,
) -> Tensor | None:
    """Return what the call of a convolution or its transpose makes, or None where it cannot."""
    at = addresses(first, w, bias, summand)
    if known is None or at is None:
        return None
    call, size, strides = known
    out = blank(size, strides, first.dtype)
    return out if run(call, at[0], at[1], at[2], out.data_ptr(), w, at[3]) else None


def weighed(
    known: Known | None, x: Tensor, dy: Tensor, with_bias: bool
) -> tuple[Tensor, Tensor] | None:
    """Return the gradients of weight and bias (empty if not asked for), or None as `convolved`."""
    at = addresses(x, dy)
    if known is None or at is None:
        return None
    call, size, strides = known
    out = blank(size, strides, x.dtype)
    db = blank((size[0] if with_bias else 0,), (1,), x.dtype)
    done = run(call, at[0], at[1], db.data_ptr() if with_bias else 0, out.data_ptr())
    return (out, db) if done else None


def conv2d(x: Tensor, w: Tensor, bias: Tensor | None, *geometry: Any) -> Tensor:
    """Convolve; see `faltung.ops.convolution` for the arguments."""
    if bias is not None and not bias.is_contiguous():
        bias = bias.contiguous()
    y = convolved(known_conv2d(x, w, bias, geometry), x, w, bias)
    return theirs.conv2d(x, w, bias, *geometry) if y is None else y


def conv2d_input_gradient(
    dy: Tensor, w: Tensor, bias: Tensor | None, size: Ints, *geometry: Any
) -> Tensor:
    """Transpose the convolution with respect to its input."""
    if bias is not None and not bias.is_contiguous():
        bias = bias.contiguous()
    dx = convolved(known_input_gradient(dy, w, bias, size, geometry), dy, w, bias)
    return theirs.conv2d_input_gradient(dy, w, bias, size, *geometry) if dx is None else dx


def conv2d_weight_gradient(
    x: Tensor, dy: Tensor, window: Ints, *rest: Any
) -> tuple[Tensor, Tensor]:
    """Transpose the convolution with respect to its weight; with the gradient of the bias."""
    *geometry, with_bias = rest
    found = weighed(known_weight_gradient(x, dy, window, with_bias, geometry), x, dy, with_bias)
    return theirs.conv2d_weight_gradient(x, dy, window, *rest) if found is None else found
