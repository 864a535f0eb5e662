"""Pooling: the maximum, the minimum or the mean of every window."""

from typing import Any, Literal, overload

import torch
from torch import Tensor

from faltung import ops
from faltung.errors import ArgumentError, ShapeError
from faltung.functional import checks
from faltung.functional.arguments import AXES, Padding, Pair, flat, padding_form, pair, sliding
from faltung.ops import quick

ORDERED = "of complex elements pool the magnitude, input.abs(); of bool, input.byte()"


@overload
def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...
@overload
def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the maximum of every window: whether a feature is there, not where exactly.

    Args:
        input: Images (N, C, H, W), or one image (C, H, W).
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window; None means `kernel_size`.
        padding: Minus infinity around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps of the window.
        ceil_mode: Let a last window hang over the end, unless it would start in the padding there.
        return_indices: Also return where each maximum was found.

    Returns:
        Maxima (N, C, Y, X) or (C, Y, X); with `return_indices` also their positions in the
        flattened H x W image, int64. NaN wins; among equal elements the first does, by rows.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
        ShapeError: A window is larger than the padded input, or lies on nothing but padding.
        DtypeError: The elements have no order, or torch does not pool them.

    Source: `torch.nn.functional.max_pool2d`.
    """
    given = (kernel_size, stride, padding, dilation, ceil_mode)
    return _extreme("max", input, *given, return_indices=return_indices)


@overload
def min_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: Literal[False] = False,
) -> Tensor: ...
@overload
def min_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    *,
    return_indices: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def min_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the minimum of every window; `max_pool2d` says everything else.

    Padding is plus infinity. NaN wins; among equal elements the first does, by rows.

    Args:
        input: Images (N, C, H, W), or one image (C, H, W).
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window; None means `kernel_size`.
        padding: Plus infinity around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps of the window.
        ceil_mode: Let a last window hang over the end, unless it would start in the padding there.
        return_indices: Also return where each minimum was found.

    Returns:
        Minima (N, C, Y, X) or (C, Y, X); with `return_indices` also their positions.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
        ShapeError: A window is larger than the padded input, or lies on nothing but padding.
        DtypeError: The elements have no order, or torch does not pool them.
    """
    given = (kernel_size, stride, padding, dilation, ceil_mode)
    return _extreme("min", input, *given, return_indices=return_indices)


def _extreme(
    kind: Literal["max", "min"],
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None,
    padding: Padding,
    dilation: Pair,
    ceil_mode: bool,
    *,
    return_indices: bool,
) -> Tensor | tuple[Tensor, Tensor]:
    operation = f"{kind}_pool2d"
    written = (kernel_size, stride, padding, dilation, ceil_mode)
    if not return_indices and not torch.compiler.is_compiling():
        values = quick.pool(operation, input, written)
        if values is not None:
            return values
    x, resolved = input, quick.resolved(operation, (input,), written)
    if resolved is None:
        x = checks.image(operation, input)
        checks.element_type(operation, x, checks.INTEGERS, ORDERED)
        resolved = (*_geometry(x, kernel_size, stride, padding, ceil_mode, dilation), ceil_mode)
        if x is input:
            quick.remember(operation, (x,), written, resolved)
    if return_indices:
        y, at = (ops.max_pool2d if kind == "max" else ops.min_pool2d)(x, *resolved)
        return checks.unbatched(y, input), checks.unbatched(at, input)
    return _pooled(operation, x, input, written, resolved)


def _geometry(
    x: Tensor, kernel_size: Pair, stride: Pair | None, padding: Padding, ceil: bool, dilation: Pair
) -> tuple[list[int], ...]:
    """Check the windows over a batch; return size, stride, padding and dilation for operators."""
    size, dilations = pair("kernel_size", kernel_size), pair("dilation", dilation)
    strides = size if stride is None else pair("stride", stride)
    windows = sliding(x.shape[2:], size, strides, padding_form(padding), dilations, ceil=ceil)
    for (lines, _), window, length in zip(AXES, windows, x.shape[2:], strict=True):
        index = window.blind(length)
        if index is not None:
            raise ShapeError(
                f"padding is {window.before} and {window.after} around {length} {lines}: window "
                f"{index} (size {window.size}, dilation {window.dilation}) would lie on nothing "
                f"but padding; use less padding"
            )
    return list(size), list(strides), flat(windows), list(dilations)


def _pooled(
    operation: str, x: Tensor, input: Tensor, written: tuple[Any, ...], resolved: tuple[Any, ...]
) -> Tensor:
    """Return the values of a pool that was found right, which the next such call need not find."""
    y = quick.pool_values(operation, x, resolved)
    if x is input:
        quick.remember_pool(operation, x, written, resolved)
    return checks.unbatched(y, input)


def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of every window: the image blurred and made smaller.

    Args:
        input: Images (N, C, H, W), or one image (C, H, W).
        kernel_size: Size of the window: one number or (height, width).
        stride: Step of the window; None means `kernel_size`.
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        ceil_mode: Let a last window hang over the end, unless it would start in the padding there.
            What hangs over never counts in the divisor.
        count_include_pad: Count padding in the divisor.
        divisor_override: Divide by this instead.

    Returns:
        Means (N, C, Y, X) or (C, Y, X).

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
        ShapeError: A window is larger than the padded input, or lies on nothing but padding.
        DtypeError: The elements are none that torch averages.

    Source: `torch.nn.functional.avg_pool2d`.
    """
    written = (
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )  # fmt: skip
    if not torch.compiler.is_compiling():
        done = quick.pool("avg_pool2d", input, written)
        if done is not None:
            return done
    x, resolved = input, quick.resolved("avg_pool2d", (input,), written)
    if resolved is None:
        x = checks.image("avg_pool2d", input)
        checks.element_type("avg_pool2d", x, (torch.int64,), "convert it with input.float()")
        if divisor_override == 0:
            raise ArgumentError("divisor_override is 0: nothing can be divided by it; use None")
        *geometry, _ = _geometry(x, kernel_size, stride, padding, ceil_mode, 1)
        resolved = (*geometry, ceil_mode, count_include_pad, divisor_override)
        if x is input:
            quick.remember("avg_pool2d", (x,), written, resolved)
    return _pooled("avg_pool2d", x, input, written, resolved)
