"""Candidates that work on torch's tensors: our kernels, torch's own, and `torch.compile`."""

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung import functional as F
from faltung import ops
from faltung.bench.layer import Layer
from faltung.bench.task import Operands, Parts, Prepared, Task

FORMATS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}

Call = Callable[[], Any]


def _read(result: Any) -> Parts:
    if isinstance(result, Tensor):
        return (result,)
    return tuple(part for part in result if part is not None)


def _pool_backward(pool: Callable[[Tensor], Tensor], x: Tensor, dy: Tensor) -> Call:
    """Return the derivative of a pool through autograd: that is how both sides are reached."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        y = pool(leaf)
    return functools.partial(torch.autograd.grad, y, leaf, dy, retain_graph=True)


def _torch_forward(layer: Layer, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    stride, padding, dilation = layer.stride, layer.padding, layer.dilation
    if layer.kind == "max":
        return tf.max_pool2d(x, layer.window, stride, padding, dilation)
    if layer.kind == "avg":
        return tf.avg_pool2d(x, layer.window, stride, padding)
    if layer.kind == "transposed":
        return tf.conv_transpose2d(x, w, b, stride, padding, 0, layer.groups, dilation)
    return tf.conv2d(x, w, b, stride, padding, dilation, layer.groups)


def torch_call(layer: Layer, direction: str, tensors: Operands) -> Call:
    """Return a call of torch's operator, on tensors of any type and format."""
    x, w, b, dy = tensors.x, tensors.w, tensors.b, tensors.dy
    if direction == "forward":
        return functools.partial(_torch_forward, layer, x, w, b)
    if layer.is_pool:
        return _pool_backward(lambda leaf: _torch_forward(layer, leaf, w, b), x, dy)
    wanted = [True, False, False] if direction == "input" else [False, True, True]
    return functools.partial(
        torch.ops.aten.convolution_backward.default,
        dy,
        x,
        w,
        [layer.k],
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.kind == "transposed",
        [0, 0],
        layer.groups,
        wanted,
    )


def reference(task: Task) -> Parts:
    """Return the result of a task as torch computes it in float64."""
    return _read(torch_call(task.layer, task.direction, task.operands.double())())


@dataclass(frozen=True)
class Torch:
    """Torch's own operators, eager, in one memory format."""

    layout: str
    family: str = "torch"

    @property
    def name(self) -> str:
        """Name of the candidate."""
        return f"{self.family} {self.layout}"

    def available(self) -> str | None:
        """Return None: torch is always there."""
        return None

    def prepare(self, task: Task) -> Prepared | None:
        """Return the task ready to be timed."""
        tensors = task.operands.in_format(FORMATS[self.layout])
        return Prepared(torch_call(task.layer, task.direction, tensors), _read)


@dataclass(frozen=True)
class Ours(Torch):
    """This library, in one memory format: functions forward, operators for the gradients."""

    family: str = "ours"

    def prepare(self, task: Task) -> Prepared | None:
        """Return the task ready to be timed."""
        tensors = task.operands.in_format(FORMATS[self.layout])
        return Prepared(our_call(task.layer, task.direction, tensors), _read)


def our_call(layer: Layer, direction: str, tensors: Operands) -> Call:
    """Return a call of this library."""
    x, w, b, dy = tensors.x, tensors.w, tensors.b, tensors.dy
    forward = _our_forward(layer, w, b)
    if direction == "forward":
        return functools.partial(forward, x)
    if layer.is_pool:
        return _pool_backward(forward, x, dy)
    return _our_gradient(layer, direction, tensors)


def _our_forward(layer: Layer, w: Tensor, b: Tensor) -> Callable[[Tensor], Tensor]:
    arguments: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
    if layer.kind == "avg":
        return functools.partial(F.avg_pool2d, kernel_size=layer.window, **arguments)
    arguments["dilation"] = layer.dilation
    if layer.kind == "max":
        return functools.partial(F.max_pool2d, kernel_size=layer.window, **arguments)
    convolve = F.conv_transpose2d if layer.kind == "transposed" else F.conv2d
    return functools.partial(convolve, weight=w, bias=b, groups=layer.groups, **arguments)


def _our_gradient(layer: Layer, direction: str, tensors: Operands) -> Call:
    x, w, dy = tensors.x, tensors.w, tensors.dy
    (height, width), window = layer.padding, list(layer.window)
    sides = [height, height, width, width]
    geometry = (list(layer.stride), sides, list(layer.dilation), layer.groups, False)
    if layer.kind == "transposed":
        if direction == "input":
            return functools.partial(ops.conv2d, dy, w, None, *geometry)

        def weight_and_bias() -> tuple[Tensor, Tensor]:
            dw, _ = ops.conv2d_weight_gradient(dy, x, window, *geometry, False)
            return dw, dy.sum((0, 2, 3))

        return weight_and_bias
    if direction == "input":
        size = list(layer.size)
        return functools.partial(ops.conv2d_input_gradient, dy, w, None, size, *geometry)
    return functools.partial(ops.conv2d_weight_gradient, x, dy, window, *geometry, True)


class _Frozen(torch.nn.Module):
    """A layer whose weights are constants, as `torch.compile` may pack them in advance."""

    def __init__(self, layer: Layer, tensors: Operands) -> None:
        super().__init__()
        self.layer = layer
        self.w = torch.nn.Parameter(tensors.w, requires_grad=False)
        self.b = torch.nn.Parameter(tensors.b, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return _torch_forward(self.layer, x, self.w, self.b)


@dataclass(frozen=True)
class Compiled(Torch):
    """`torch.compile` with frozen weights, forward only; compiling takes seconds a layer."""

    family: str = "compile"

    def available(self) -> str | None:
        """Return None, or the reason why torch cannot compile here."""
        return None if shutil.which("g++") else "torch.compile needs g++, which is not installed"

    def prepare(self, task: Task) -> Prepared | None:
        """Return the compiled layer, or None for gradients."""
        if task.direction != "forward":
            return None
        tensors = task.operands.in_format(FORMATS[self.layout])
        module = _Frozen(task.layer, tensors).eval()
        compiled = torch.compile(module, dynamic=False, options={"freezing": True})
        # Every layer is a new version of one function; torch would soon stop compiling it.
        with torch._dynamo.config.patch(recompile_limit=1000, accumulated_recompile_limit=1000):
            compiled(tensors.x)
        return Prepared(functools.partial(compiled, tensors.x), _read)


ADAPTERS = tuple(kind(layout) for kind in (Ours, Torch, Compiled) for layout in FORMATS)
