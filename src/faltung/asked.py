"""What a text or a layer asks for: the problem, and the operator that a layer would call.

A layer really runs, down to its operator, which is caught before it computes; so padding modes,
padding rules and autocast have done their part.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from faltung import functional as F
from faltung import nn, switch
from faltung.compiler.problem import FIELDS, Problem, parse
from faltung.errors import ArgumentError
from faltung.functional.arguments import padding_form, sliding
from faltung.functional.padding import padded
from faltung.geometry import windows
from faltung.ops import ours, watching
from faltung.ops.registry import memory_format
from faltung.ops.seam import Choice

OURS = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.MinPool2d, nn.AvgPool2d)
TORCHS = (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.MaxPool2d, torch.nn.AvgPool2d)
TURNED = {"forward": "input", "input": "forward", "weight": "weight"}
SIDES = ("ph", "pb", "pw", "pr")
NAMES = ("mb", "g", "ic", "ih", "iw", "oc", "kh", "kw", "sh", "sw", "dh", "dw", *SIDES)
WORDS = ("f32", "bf16", "relu6", "max2", "avg2")  # letters and digits, and yet no sizes
POOLS = {
    "max_pool2d": "max",
    "max_pool2d_values": "max",
    "min_pool2d": "min",
    "min_pool2d_values": "min",
    "avg_pool2d": "avg",
}


@dataclass(frozen=True)
class Called:
    """A call of an operator.

    Attributes:
        operator: Its name in `torch.ops.faltung`.
        arguments: What it is called with.
        torchs: The layer is torch's own, whose calls come here only through the switch.
    """

    operator: str
    arguments: tuple[Any, ...]
    torchs: bool

    @property
    def x(self) -> Tensor:
        """The input, as it reaches the operator."""
        first: Tensor = self.arguments[0]
        return first

    @property
    def valued(self) -> bool:
        """It returns extremes without their positions."""
        return self.operator.endswith("_values")


def stated(text: str) -> Problem:
    """Return the problem that a text states, in the precision that torch is set to.

    Raises:
        ArgumentError: The text is no problem; the message says where.
    """
    example = "write it as 'ic64ih56oc64kh3ph1' or 'max ic64ih112kh3sh2ph1'"
    for word in text.split():
        if re.fullmatch(r"([a-z]+-?\d+)+", word) and word not in WORDS:
            for name, number in FIELDS.findall(word):
                least = 0 if name in SIDES else 1
                if name not in NAMES:
                    known = " ".join(NAMES)
                    raise ArgumentError(f"{text!r} has {name!r}: the sizes are {known}; {example}")
                if int(number) < least:
                    raise ArgumentError(
                        f"{text!r} has {name} {number}: it must be at least {least}; {example}"
                    )
    try:
        problem = parse(text)
    except ValueError as error:
        raise ArgumentError(str(error)) from None
    pool = problem.operation != "conv"
    if pool and problem.direction == "weight":
        raise ArgumentError(f"{text!r} has no answer: pools have no weight; leave out 'weight'")
    if pool and (problem.outputs, problem.groups) != (problem.channels, 1):
        raise ArgumentError(
            f"{text!r} has no answer: pools keep their channels; leave out oc and g"
        )
    return replace(problem, precision=watching.float32_precision())


class _Caught(Exception):  # noqa: N818 - it is no error
    """Carries an operator's name and arguments out of a layer."""


class _Catch(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.namespace == "faltung":
            raise _Caught(func._schema.name.partition("::")[2], args)
        return func(*args, **(kwargs or {}))


def call(layer: torch.nn.Module, x: Tensor | None) -> Called:
    """Return the call of an operator that a layer would make for an input.

    Raises:
        ArgumentError: It is no layer that poses a problem, or the input is missing.
        FaltungError: What the layer's function raises for this input.
    """
    if not isinstance(layer, (*OURS, *TORCHS)):
        name = type(layer).__name__
        known = "Conv2d, ConvTranspose2d, MaxPool2d, MinPool2d or AvgPool2d"
        remedy = "ask for the layers of a model one by one"
        if isinstance(layer, nn.LocallyConnected2d):
            remedy = "weights that are not shared are left to torch's operators"
        raise ArgumentError(
            f"layer_or_text is a {name}: it must be a text, or a {known} of torch.nn or "
            f"faltung.nn; {remedy}"
        )
    if x is None:
        raise ArgumentError(
            "x is None: the kernel depends on the input; give the tensor that the layer gets"
        )
    try:
        with torch.no_grad(), _Catch():  # type: ignore[no-untyped-call]
            layer(x) if isinstance(layer, OURS) else _torchs(layer, x)
    except _Caught as caught:
        operator, arguments = caught.args
        return Called(operator, arguments, not isinstance(layer, OURS))
    raise ArgumentError(
        "layer_or_text is asked for inside a transform of torch.func, where torch's own operators "
        "run: ask outside of it"
    )


def _torchs(layer: Any, x: Tensor) -> None:
    """Call our function with what torch's layer holds; it checks what torch would reject."""
    if isinstance(layer, torch.nn.MaxPool2d):
        slides = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        F.max_pool2d(x, *slides, layer.ceil_mode)
    elif isinstance(layer, torch.nn.AvgPool2d):
        means = (layer.ceil_mode, layer.count_include_pad, layer.divisor_override)
        F.avg_pool2d(x, layer.kernel_size, layer.stride, layer.padding, *means)
    elif isinstance(layer, torch.nn.ConvTranspose2d):
        spread: Any = (layer.padding, layer.output_padding, layer.groups, layer.dilation)
        F.conv_transpose2d(x, layer.weight, layer.bias, layer.stride, *spread)
    else:
        padding = layer.padding
        if layer.padding_mode != "zeros":
            sizes = (x.shape[-2:], layer.kernel_size, layer.stride)
            over = sliding(*sizes, padding_form(padding), layer.dilation)
            x, padding = padded(x, over, layer.padding_mode), 0
        geometry: Any = (layer.stride, padding, layer.dilation, layer.groups)
        F.conv2d(x, layer.weight, layer.bias, *geometry)


def verdict(called: Called, choice: Choice) -> tuple[bool, str]:
    """Return whether a kernel of ours runs, and why, for this very call."""
    if not choice.ours:
        return False, choice.reason
    tensors = called.arguments[:1] if called.operator in POOLS else called.arguments[:3]
    if not ours.usable(*tensors):
        what = "a tensor has no elements, another type or no plain memory"
        return False, f"{what}; torch's operator runs"
    if called.torchs and not switch.is_enabled():
        remedy = "faltung.enable() lets the kernel below run"
        return False, f"the layer is torch's, and the switch is off; {remedy}"
    return True, choice.reason


def problem(called: Called, direction: str) -> Problem:
    """Return the problem that a call poses, in a direction of the layer.

    The gradient by a layer's input is taken to be dense, in the format of its output.

    Raises:
        ArgumentError: The weight's gradient of a pool is asked for.
    """
    build = _pool if called.operator in POOLS else _convolution
    found = build(called, direction)
    dtype = called.x.dtype
    kind = ours.KINDS.get(dtype, str(dtype).removeprefix("torch."))
    return replace(found, kind=kind)


def _shadow(tensor: Tensor) -> Tensor:
    """Return a tensor of the same shape and strides, without elements."""
    return torch.empty_strided(tensor.shape, tensor.stride(), device="meta")


def _dense(shape: Sequence[int], *operands: Tensor) -> Tensor:
    """Return what an operator would return for these operands, without elements."""
    return torch.empty(shape, device="meta", memory_format=memory_format(*operands))


def _convolution(called: Called, direction: str) -> Problem:
    bias, (stride, padding, dilation, groups) = called.arguments[2], called.arguments[-5:-1]
    x, w = (_shadow(t) for t in called.arguments[:2])
    transposed = called.operator == "conv2d_input_gradient"
    if transposed:
        shape = (x.shape[0], w.shape[1] * groups, *called.arguments[3])
    else:
        rows, columns = windows(w.shape[2:], stride, padding, dilation)
        shape = (x.shape[0], w.shape[0], rows.output(x.shape[2]), columns.output(x.shape[3]))
    y = _dense(shape, x, w)
    large, small = (y, x) if transposed else (x, y)
    turned = TURNED[direction] if transposed else direction
    first, second, out = {
        "forward": (large, w, small),
        "input": (small, w, large),
        "weight": (large, small, w),
    }[turned]
    with_bias = bias is not None and direction == "forward"
    with_bias = with_bias or (bias is not None and turned == "weight" and not transposed)
    made = _dense(out.shape, first, second)
    return ours.conv_problem(turned, first, second, made, with_bias, called.arguments[-5:])


def _pool(called: Called, direction: str) -> Problem:
    operation = POOLS[called.operator]
    if direction == "weight":
        raise ArgumentError("direction is 'weight': pools have no weight; use forward or input")
    x = _shadow(called.x)
    size, stride, padding = (tuple(numbers) for numbers in called.arguments[1:4])
    if operation == "avg":
        dilation, (ceil, count_padding, divisor) = [1, 1], called.arguments[4:]
    else:
        (dilation, ceil), count_padding, divisor = called.arguments[4:], True, None
    over = windows(size, stride, padding, dilation, ceil)
    lengths = tuple(w.output(n) for w, n in zip(over, x.shape[2:], strict=True))
    y = _dense((*x.shape[:2], *lengths), x)
    first, out = (x, y) if direction == "forward" else (y, _dense(x.shape, y))
    strides: Any = (first.stride(), (0,) * 4, out.stride())
    channels, image = x.shape[1], (x.shape[2], x.shape[3])
    return Problem(
        operation, direction, x.shape[0], 1, channels, channels, image, (lengths[0], lengths[1]),
        size, stride, padding, (dilation[0], dilation[1]), strides=strides,
        indices=operation != "avg" and (direction == "input" or not called.valued),
        divisor=divisor or 0, count_padding=count_padding,
    )  # fmt: skip
