"""A convolution and what follows it, in one pass over memory."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from faltung import ops
from faltung.errors import ArgumentError, ShapeError
from faltung.functional import checks
from faltung.functional.arguments import Padding, Pair
from faltung.functional.convolution import checked
from faltung.geometry import windows
from faltung.ops import quick


def conv2d_fused(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    flip: bool = False,
    residual: Tensor | None = None,
    activation: str | None = None,
    pool: str | None = None,
) -> Tensor:
    """Return pool(activation(conv2d(input, weight, bias) + residual)).

    Where no gradient is wanted, a kernel of this library does all of it before it writes a result:
    sums in registers get the residual and the activation, and Winograd's tiles are pooled before
    they are written. `faltung.why` of a text such as "ic64ih56oc64kh3ph1 bias relu max2" says
    whether it does. Elsewhere the operations run one after the other. The results agree as results
    of two orders of sums do: the kernel rounds once, to bfloat16 too, where the operations round
    after each of them, and adds the bias after a mean instead of before.

    Args:
        input: Images (N, C, H, W), or one image (C, H, W).
        weight: Kernels (K, C / groups, R, S).
        bias: One number for each output channel, (K,).
        stride: Step of the window, in elements: one number or (height, width).
        padding: Zeros around the image, in any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps of the kernel.
        groups: Number of groups of channels that are convolved apart.
        flip: Turn the kernel by 180 degrees first: convolution in the strict sense.
        residual: Added to the convolution, in its shape.
        activation: "relu", "relu6" (clamped to 0 ... 6) or "silu" (x times its sigmoid).
        pool: "max" or "avg" of windows of 2x2 with stride 2, without the last row or column of an
            odd size.

    Returns:
        Feature maps (N, K, Y, X), or (K, Y, X) for one image; pooled ones (N, K, Y // 2, X // 2).

    Raises:
        ArgumentError: activation or pool is unknown, or another argument breaks its own rule.
        ShapeError: The residual has another shape than the convolution, the convolution is too
            small to be pooled, or sizes do not fit as for `conv2d`.
        DtypeError: Element types differ, or are none that torch convolves.
        DeviceError: Tensors are on different devices.
    """
    _known("activation", activation, ops.ACTIVATIONS)
    _known("pool", pool, ops.POOLS)
    written = (stride, padding, dilation, groups, flip, activation, pool)
    tensors = (input, weight, bias, residual)
    resolved = quick.resolved("conv2d_fused", tensors, written)
    x = input
    if resolved is None:
        x, resolved = checked(input, weight, bias, stride, padding, dilation, groups, flip)
        checks.alike(x, residual=residual)
        _require_room(x, weight, residual, pool, resolved)
        if x is input:
            quick.remember("conv2d_fused", tensors, written, resolved)
    summand = residual if residual is None or residual.dim() == 4 else residual.unsqueeze(0)
    y = ops.conv2d_fused(x, weight, bias, summand, activation or "", pool or "", *resolved)
    return checks.unbatched(y, input)


def _known(name: str, value: str | None, choices: Iterable[str]) -> None:
    if value is not None and (not value or value not in choices):
        names = ", ".join(repr(choice) for choice in choices if choice)
        raise ArgumentError(f"{name} is {value!r}: it must be one of {names}, or None")


def _require_room(
    x: Tensor,
    weight: Tensor,
    residual: Tensor | None,
    pool: str | None,
    resolved: tuple[Any, ...],
) -> None:
    """Require that the residual has the convolution's shape, and that it can be pooled."""
    over = windows(weight.shape[2:], *resolved[:3])
    lengths = [window.output(n) for window, n in zip(over, x.shape[2:], strict=True)]
    shape = (x.shape[0], weight.shape[0], *lengths)
    given = None if residual is None else tuple(residual.shape)
    if given is not None and given not in {shape, shape[1:] if x.shape[0] == 1 else shape}:
        raise ShapeError(
            f"residual has shape {given} but the convolution {shape}: it is added element by "
            f"element; give it the same shape"
        )
    if pool and min(lengths) < 2:
        raise ShapeError(
            f"pool is {pool!r} but the convolution is {lengths[0]} x {lengths[1]}: windows of 2x2 "
            f"need 2 rows and 2 columns; leave pool out, or pad more"
        )
