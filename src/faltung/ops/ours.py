"""Our kernels under the operators: tensors become problems, problems become calls.

A problem is looked up by a plain key of sizes and strides; only the first of its kind is planned.
Whatever a kernel does not address (no elements, other layouts than strided) goes to torch.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from faltung.compiler import machine, planner
from faltung.compiler.call import Call, ready
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target, pretending
from faltung.geometry import windows
from faltung.ops.registry import empty, memory_format
from faltung.ops.theirs import convolution as theirs
from faltung.settings import instruction_set

Ints = list[int]
Geometry = tuple[Ints, Ints, Ints, int, bool]
KINDS = {torch.float32: "f32", torch.bfloat16: "bf16"}

_calls: dict[tuple[Any, ...], Call | None] = {}


@cache
def target() -> Target:
    """Return the CPU that kernels are made for: this one, or the lesser one that is asked for."""
    wanted = instruction_set()
    return machine.host() if wanted is None else pretending(machine.host(), wanted)


def threads() -> int:
    """Return the number of threads a kernel may use: torch's."""
    return machine.team_size(torch.get_num_threads())


def precision() -> str:
    """Return what float32 promises: torch's setting, with "medium" kept as well as "high"."""
    return "highest" if torch.get_float32_matmul_precision() == "highest" else "high"


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


def run(
    call: Call, first: Tensor, second: Tensor | None, third: Tensor | None, out: Tensor
) -> None:
    """Run a call; its workspace comes from torch's allocator and goes back to it."""
    room = torch.empty(call.workspace, dtype=torch.uint8) if call.workspace else None
    call(
        first.data_ptr(),
        0 if second is None else second.data_ptr(),
        0 if third is None else third.data_ptr(),
        out.data_ptr(),
        0 if room is None else room.data_ptr(),
    )


def call_of(key: tuple[Any, ...], problem: Callable[[], Problem]) -> Call | None:
    """Return the call of a key, planned at its first use, or None where no algorithm takes it."""
    if key not in _calls:
        cpu = target()
        try:
            found = planner.explain(problem(), cpu, key[0])
        except planner.NoAlgorithmError:
            _calls[key] = None
        else:
            _calls[key] = ready(found.plan, cpu, found.otherwise)
    return _calls[key]


def conv_key(
    direction: str, first: Tensor, second: Tensor, out: Tensor, bias: bool, geometry: Sequence[Any]
) -> tuple[Any, ...]:
    """Return the plain key of a convolution: all that its plan depends on."""
    stride, padding, dilation, groups, flip = geometry
    return (
        threads(), direction, first.shape, first.stride(), second.shape, second.stride(),
        out.shape, out.stride(), first.dtype, bias,
        torch.get_float32_matmul_precision(), *stride, *padding, *dilation, groups, flip,
    )  # fmt: skip


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
        precision=precision(),
    )  # fmt: skip


def _convolved(
    direction: str, first: Tensor, second: Tensor, bias: Tensor | None, out: Tensor,
    geometry: Geometry,
) -> Tensor:  # fmt: skip
    call = planned(direction, first, second, out, bias is not None, geometry)
    run(call, first, second, bias, out)
    return out


def planned(
    direction: str, first: Tensor, second: Tensor, out: Tensor, bias: bool, geometry: Sequence[Any]
) -> Call:
    """Return the call that computes a convolution in a direction."""
    key = conv_key(direction, first, second, out, bias, geometry)
    call = call_of(key, lambda: conv_problem(direction, first, second, out, bias, geometry))
    if call is None:
        raise AssertionError("the dense algorithms take every convolution")
    return call


def conv2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    flip: bool,
) -> Tensor:
    """Convolve; see `faltung.ops.convolution` for the arguments."""
    rows, columns = windows(w.shape[2:], stride, padding, dilation)
    shape = (x.shape[0], w.shape[0], rows.output(x.shape[2]), columns.output(x.shape[3]))
    if not usable(x, w, bias) or 0 in shape:
        return theirs.conv2d(x, w, bias, stride, padding, dilation, groups, flip)
    out = empty(x, shape, memory_format(x, w))
    bias = None if bias is None else bias.contiguous()
    return _convolved("forward", x, w, bias, out, (stride, padding, dilation, groups, flip))


def conv2d_input_gradient(
    dy: Tensor,
    w: Tensor,
    bias: Tensor | None,
    size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    flip: bool,
) -> Tensor:
    """Transpose the convolution with respect to its input."""
    if not usable(dy, w, bias):
        return theirs.conv2d_input_gradient(
            dy, w, bias, size, stride, padding, dilation, groups, flip
        )
    out = empty(dy, (dy.shape[0], w.shape[1] * groups, *size), memory_format(dy, w))
    bias = None if bias is None else bias.contiguous()
    return _convolved("input", dy, w, bias, out, (stride, padding, dilation, groups, flip))


def conv2d_weight_gradient(
    x: Tensor,
    dy: Tensor,
    window: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
    flip: bool,
    with_bias: bool,
) -> tuple[Tensor, Tensor]:
    """Transpose the convolution with respect to its weight; with the gradient of the bias."""
    if not usable(x, dy):
        return theirs.conv2d_weight_gradient(
            x, dy, window, stride, padding, dilation, groups, flip, with_bias
        )
    shape = (dy.shape[1], x.shape[1] // groups, *window)
    out = empty(x, shape, memory_format(x, dy))
    db = x.new_empty(dy.shape[1] if with_bias else 0)
    geometry = (stride, padding, dilation, groups, flip)
    _convolved("weight", x, dy, db if with_bias else None, out, geometry)
    return out, db
