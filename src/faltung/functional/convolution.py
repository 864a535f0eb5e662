"""Convolution, transposed convolution, and the operation with weights that are not shared."""

from collections.abc import Sequence

import torch
from torch import Tensor

from faltung import ops
from faltung.errors import ArgumentError, ShapeError
from faltung.functional import checks
from faltung.functional.arguments import (
    AXES,
    Padding,
    Pair,
    Resolved,
    flat,
    padding_form,
    pair,
    sliding,
    whole,
)
from faltung.geometry import Window, pads
from faltung.ops import quick

COMPLEX = (torch.complex64, torch.complex128)
CONVERT = "convert it with input.float()"


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    flip: bool = False,
) -> Tensor:
    """Slide a kernel over images and sum the products of overlapping elements (cross-correlation).

    Args:
        input: Images (N, C, H, W), or one image (C, H, W).
        weight: Kernels (K, C / groups, R, S).
        bias: One number for each output channel, (K,).
        stride: Step of the window, in elements: one number or (height, width).
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps of the kernel.
        groups: Number of groups of channels that are convolved apart.
        flip: Turn the kernel by 180 degrees first: convolution in the strict sense. With "same" the
            odd element of padding then goes to the start, as in `scipy.signal.convolve2d`.

    Returns:
        Feature maps (N, K, Y, X), or (K, Y, X) for one image, in torch's memory format.

    Raises:
        ArgumentError: stride, padding, dilation or groups break their own rule.
        ShapeError: Channels, groups, bias or window do not fit the image.
        DtypeError: Element types differ, or are none that torch convolves.
        DeviceError: Tensors are on different devices.

    Source: `torch.nn.functional.conv2d`, which computes the same where it takes the arguments.
    """
    written = (stride, padding, dilation, groups, flip)
    if not torch.compiler.is_compiling():
        done = quick.conv2d(input, weight, bias, written)
        if done is not None:
            return done
    x, resolved = checked(input, weight, bias, *written)
    y = ops.conv2d(x, weight, bias, *resolved)
    if x is input and not torch.compiler.is_compiling():
        quick.remember_conv2d(x, weight, bias, written, resolved)
    return checks.unbatched(y, input)


def checked(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    flip: bool,
) -> tuple[Tensor, tuple[list[int], list[int], list[int], int, bool]]:
    """Check the arguments of a convolution; return the batch and its geometry as operators take it.

    Raises:
        FaltungError: What `conv2d` raises.
    """
    x = checks.image("conv2d", input)
    checks.weight("conv2d", weight, "(K, C / groups, R, S)")
    checks.alike(x, weight=weight, bias=bias)
    checks.element_type("conv2d", x, (*COMPLEX, *checks.INTEGERS), CONVERT)
    groups = whole("groups", groups, 1)
    checks.channels(x, input, weight.shape[1], groups)
    checks.groups_divide(x.shape[1], weight.shape[0], groups)
    checks.bias(bias, (weight.shape[0],))
    strides, dilations = pair("stride", stride), pair("dilation", dilation)
    checks.dilated_integers(x, dilations)
    windows = sliding(
        x.shape[2:], weight.shape[2:], strides, padding_form(padding), dilations, mirrored=flip
    )
    return x, (list(strides), flat(windows), list(dilations), groups, flip)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
    *,
    output_size: Sequence[int] | None = None,
    flip: bool = False,
) -> Tensor:
    """Transpose a convolution: spread every element over the output through the kernel.

    It is the gradient of `conv2d` with respect to its input: stride spreads, padding crops.

    Args:
        input: Maps (N, C, H, W), or one (C, H, W).
        weight: Kernels (C, K / groups, R, S).
        bias: One number for each output channel, (K,).
        stride: Step of the window in the output, in elements: one number or (height, width).
        padding: What the convolution would have padded, cropped here, in any form listed in
            `faltung.functional`. With the "same" family the output is `input * stride` in size.
        output_padding: Elements added at the end, less than stride or dilation: it chooses among
            the sizes that the convolution would map to this input.
        groups: Number of groups of channels.
        dilation: Distance between neighbouring taps of the kernel.
        output_size: Wanted (height, width), instead of `output_padding`.
        flip: Transpose the strict convolution, whose kernel is turned by 180 degrees.

    Returns:
        Maps (N, K, Y, X), or (K, Y, X), in torch's memory format.

    Raises:
        ArgumentError: A number breaks its own rule, or output_padding and output_size are both
            given.
        ShapeError: Channels, groups or bias do not fit, output_size cannot be reached, or padding
            leaves nothing.
        DtypeError: Element types differ, or are none that torch convolves.
        DeviceError: Tensors are on different devices.

    Source: `torch.nn.functional.conv_transpose2d`.
    """
    x = checks.image("conv_transpose2d", input)
    checks.weight("conv_transpose2d", weight, "(C, K / groups, R, S)")
    checks.alike(x, weight=weight, bias=bias)
    checks.element_type("conv_transpose2d", x, (*COMPLEX, torch.int64), CONVERT)
    groups = whole("groups", groups, 1)
    outputs = weight.shape[1] * groups
    checks.groups_divide(x.shape[1], outputs, groups)
    checks.channels(x, input, weight.shape[0] // groups, groups)
    checks.bias(bias, (outputs,))
    strides, dilations = pair("stride", stride), pair("dilation", dilation)
    form, extra = padding_form(padding), pair("output_padding", output_padding, 0)
    wanted = _wanted(output_size, extra)
    size, sides = [], []
    for axis in (0, 1):
        taps = Window(weight.shape[2 + axis], strides[axis], dilations[axis])
        target = None if wanted is None else wanted[axis]
        length, window = _spread(axis, x.shape[2 + axis], taps, form, extra[axis], target, flip)
        size.append(length)
        sides += [window.before, window.after]
    y = ops.conv2d_input_gradient(x, weight, bias, size, strides, sides, dilations, groups, flip)
    return checks.unbatched(y, input)


def _wanted(output_size: Sequence[int] | None, extra: tuple[int, int]) -> tuple[int, int] | None:
    if output_size is None:
        return None
    if any(extra):
        raise ArgumentError(
            f"output_size is {tuple(output_size)} and output_padding {extra}: both choose the size "
            f"of the output; give one of them"
        )
    return pair("output_size", list(output_size[-2:]))


def _spread(
    axis: int,
    length: int,
    taps: Window,
    form: Resolved,
    extra: int,
    wanted: int | None,
    flip: bool,
) -> tuple[int, Window]:
    """Return the output length of one transposed axis, and the window that would lead back."""
    if extra >= max(taps.stride, taps.dilation):
        raise ArgumentError(
            f"output_padding is {extra}: it must be smaller than stride ({taps.stride}) or "
            f"dilation ({taps.dilation}); use a larger stride, or pad the result"
        )
    same = isinstance(form, str) and form.startswith("same")
    if same and extra:
        raise ArgumentError(
            f"output_padding is {extra} and padding {form!r}, which already says the size "
            f"({length * taps.stride}): use output_padding=0, or output_size"
        )
    if isinstance(form, str):
        goal = length * taps.stride if wanted is None else wanted
        sides = pads(form, goal, taps.size, taps.stride, taps.dilation, mirrored=flip)
    else:
        sides = form[axis]
    window = Window(taps.size, taps.stride, taps.dilation, *sides)
    least = window.inverse(length)
    if wanted is None:
        size = length * taps.stride if same else least + extra
    else:
        size = wanted
        steps = taps.stride if same else max(taps.stride, taps.dilation)
        first = (length - 1) * taps.stride + 1 if same else least
        _reachable(axis, size, range(first, first + steps))
    if size < 1:
        lines, _ = AXES[axis]
        raise ShapeError(
            f"padding {sides} crops all {least + sum(sides)} {lines} of the output: "
            f"use less padding"
        )
    return size, window


def _reachable(axis: int, wanted: int, sizes: range) -> None:
    if wanted not in sizes:
        lines, _ = AXES[axis]
        raise ShapeError(
            f"output_size asks for {wanted} {lines}, but this input, kernel, stride and padding "
            f"can give {sizes[0]} to {sizes[-1]}: choose one of these"
        )


def local2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
) -> Tensor:
    """Apply a kernel of its own at every place: locality without shared weights.

    This is the step between the fully connected layer and the convolution: with the same kernel at
    every place it is `conv2d`.

    Args:
        input: Images (N, C, H, W), or one image (C, H, W).
        weight: A kernel for each place, (Y, X, K, C, R, S).
        bias: One number for each output, (K, Y, X).
        stride: Step of the window, in elements: one number or (height, width).
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps of a kernel.

    Returns:
        Feature maps (N, K, Y, X), or (K, Y, X) for one image.

    Raises:
        ArgumentError: stride, padding or dilation break their own rule.
        ShapeError: The weight does not fit the image.
        DtypeError: Element types differ.
        DeviceError: Tensors are on different devices.

    Source: Y. LeCun, "Generalization and Network Design Strategies" (1989).
    """
    x = checks.image("local2d", input)
    checks.weight("local2d", weight, "(Y, X, K, C, R, S)")
    checks.alike(x, weight=weight, bias=bias)
    checks.element_type("local2d", x, (*COMPLEX, *checks.INTEGERS), CONVERT)
    checks.channels(x, input, weight.shape[3], 1)
    strides, dilations = pair("stride", stride), pair("dilation", dilation)
    windows = sliding(x.shape[2:], weight.shape[4:], strides, padding_form(padding), dilations)
    places = tuple(w.output(n) for w, n in zip(windows, x.shape[2:], strict=True))
    if tuple(weight.shape[:2]) != places:
        raise ShapeError(
            f"weight has kernels for {weight.shape[0]} x {weight.shape[1]} places, but input "
            f"(shape {checks.shape_of(input)}) has {places[0]} x {places[1]}: weights that are not "
            f"shared fit one image size only"
        )
    checks.bias(bias, (weight.shape[2], *places))
    y = ops.local2d(x, weight, bias, strides, flat(windows), dilations)
    return checks.unbatched(y, input)
