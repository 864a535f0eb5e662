"""Checks of tensor arguments: ranks, channels, groups, element types, devices.

Each raises an error that names the argument, its value, the rule, the remedy and the likely cause.
"""

import math
from typing import Any

import torch
from torch import Tensor

from faltung.errors import DeviceError, DtypeError, ShapeError
from faltung.functional.arguments import whole

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def shape_of(tensor: Tensor) -> str:
    """Return a tensor's shape as messages show it: `(8, 1, 28, 28)`."""
    return str(tuple(tensor.shape))


def type_of(tensor: Tensor) -> str:
    """Return a tensor's element type as messages show it: `float32`."""
    return str(tensor.dtype).removeprefix("torch.")


def tensor(operation: str, name: str, value: Any) -> None:
    """Require a `torch.Tensor`.

    Raises:
        DtypeError: It is something else.
    """
    if not isinstance(value, Tensor):
        kind = type(value)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        raise DtypeError(
            f"{name} is a {module}{kind.__qualname__}: {operation} takes a torch.Tensor; "
            f"use torch.as_tensor({name})"
        )


def image(operation: str, x: Any) -> Tensor:
    """Return an image tensor (N, C, H, W), adding the batch where it is (C, H, W).

    Raises:
        DtypeError: It is no tensor.
        ShapeError: It has another rank, or a size other than the batch is zero.
    """
    tensor(operation, "input", x)
    if x.dim() not in {3, 4}:
        count = f"{x.dim()} dimension" + ("" if x.dim() == 1 else "s")
        remedy = {
            2: "add the missing ones with input[None, None]",
            5: "join the first two with input.flatten(0, 1)",
        }.get(x.dim(), "reshape it")
        raise ShapeError(
            f"input has {count} (shape {shape_of(x)}): {operation} takes (N, C, H, W) or "
            f"(C, H, W); {remedy}"
        )
    if 0 in x.shape[-3:]:
        raise ShapeError(
            f"input has a size of zero (shape {shape_of(x)}): only the batch may be empty; "
            f"check the slicing that made it"
        )
    batch: Tensor = x if x.dim() == 4 else x.unsqueeze(0)
    return batch


def unbatched(y: Tensor, x: Tensor) -> Tensor:
    """Return a result in the rank of the input it was computed from."""
    return y if x.dim() == 4 else y.squeeze(0)


def weight(operation: str, w: Any, axes: str) -> None:
    """Require a weight tensor whose axes are those written in `axes`, none of them empty.

    Raises:
        DtypeError: It is no tensor.
        ShapeError: It has another rank, or is empty.
    """
    tensor(operation, "weight", w)
    if w.dim() != axes.count(",") + 1:
        raise ShapeError(
            f"weight has {w.dim()} dimensions (shape {shape_of(w)}): {operation} takes {axes}"
        )
    if 0 in w.shape:
        raise ShapeError(
            f"weight has a size of zero (shape {shape_of(w)}): every kernel needs at least one "
            f"channel and one tap"
        )


def alike(x: Tensor, **others: Tensor | None) -> None:
    """Require that the other tensors have the input's element type and device.

    Where autocast is on, floating-point types may differ, because it casts them.

    Raises:
        DtypeError: Element types differ.
        DeviceError: Devices differ.
    """
    for name, other in others.items():
        if other is None:
            continue
        tensor("this operation", name, other)
        if other.device != x.device:
            raise DeviceError(
                f"input is on {x.device} but {name} on {other.device}: all tensors must be on one "
                f"device; use input.to({name}.device)"
            )
        if other.dtype != x.dtype and not _autocasts(x, other):
            raise DtypeError(
                f"input is {type_of(x)} but {name} is {type_of(other)}: both must have one type; "
                f"{_type_remedy(x, name, other)}"
            )


def _autocasts(x: Tensor, other: Tensor) -> bool:
    return (
        torch.is_autocast_enabled(x.device.type)
        and x.is_floating_point()
        and other.is_floating_point()
    )


def _type_remedy(x: Tensor, name: str, other: Tensor) -> str:
    if x.dtype == torch.uint8 and other.is_floating_point():
        return "the input looks like an image of bytes; use input.float() / 255"
    if x.dtype == torch.float64:
        return f"NumPy's default is float64; use input.to({name}.dtype)"
    return f"use input.to({name}.dtype), or convert the module with .to(input.dtype)"


def element_type(operation: str, x: Tensor, allowed: tuple[torch.dtype, ...], remedy: str) -> None:
    """Require that integers of an input on the CPU are of a type torch computes with.

    Floating point is always allowed; other devices are left to torch.

    Raises:
        DtypeError: The element type is another one.
    """
    if x.is_floating_point() or x.dtype in allowed or x.device.type != "cpu":
        return
    names = ", ".join(str(dtype).removeprefix("torch.") for dtype in allowed)
    raise DtypeError(
        f"input is {type_of(x)}: {operation} takes floating point or {names}; {remedy}"
    )


def dilated_integers(x: Tensor, dilation: tuple[int, int]) -> None:
    """Require int64 of integers on the CPU where the kernel is dilated: torch knows no other.

    Raises:
        DtypeError: The element type is a shorter integer.
    """
    if x.dtype in INTEGERS[:-1] and dilation != (1, 1) and x.device.type == "cpu":
        raise DtypeError(
            f"input is {type_of(x)} and dilation {dilation}: a dilated kernel takes integers only "
            f"as int64; convert both with .long()"
        )


def groups_divide(inputs: int, outputs: int, groups: int) -> None:
    """Require that `groups` divides the numbers of input and of output channels.

    Raises:
        ShapeError: It does not.
    """
    for count, kind in ((inputs, "input"), (outputs, "output")):
        if count % groups != 0:
            raise ShapeError(
                f"groups is {groups}, which does not divide the {count} {kind} channels: use a "
                f"divisor of {math.gcd(inputs, outputs)}, the greatest common divisor of {inputs} "
                f"input and {outputs} output channels"
            )


def layer_channels(inputs: int, outputs: int, groups: int) -> None:
    """Require the channel counts and groups of a layer to be whole, positive and divisible.

    Raises:
        ArgumentError: One is not a whole number of at least 1.
        ShapeError: groups does not divide the channels.
    """
    whole("in_channels", inputs, 1)
    whole("out_channels", outputs, 1)
    groups_divide(inputs, outputs, whole("groups", groups, 1))


def channels(x: Tensor, given: Tensor, reads: int, groups: int) -> None:
    """Require that the input has the channels that the weight reads.

    Args:
        x: Input (N, C, H, W).
        given: Input as the caller gave it, for the message.
        reads: Input channels that one group of the weight reads.
        groups: Number of groups.

    Raises:
        ShapeError: It has not; the message names the likely cause.
    """
    expected, found = reads * groups, x.shape[1]
    if found == expected:
        return
    has = f"input has {found} (shape {shape_of(given)})"
    if groups > 1:
        raise ShapeError(
            f"weight has {reads} input channels a group, {expected} with groups={groups}, but "
            f"{has}: use in_channels={found}, or other groups"
        )
    raise ShapeError(
        f"weight has {reads} input channel{'s' if reads > 1 else ''} but {has}: "
        f"{_cause(x, given, expected)}"
    )


def _cause(x: Tensor, given: Tensor, expected: int) -> str:
    found, batched = x.shape[1], given.dim() == 4
    if given.shape[-1] == expected and expected <= 4 < found:
        order = "0, 3, 1, 2" if batched else "2, 0, 1"
        return (
            f"the channels look last, as (H, W, C) arrays have them; move them with "
            f"input.permute({order})"
        )
    if found == 1 and expected == 3:
        return "the image looks grayscale; use in_channels=1, or repeat the channel"
    if found == 3 and expected == 1:
        mean = f"input.mean({1 if batched else 0}, keepdim=True)"
        return f"the image looks like colour; use in_channels=3, or average it with {mean}"
    if not batched and expected == 1:
        return "this looks like a batch without channels; add them with input.unsqueeze(1)"
    if not batched and given.shape[1] == expected:
        return "this looks like a batch with an axis missing; the axes are (N, C, H, W)"
    return f"use in_channels={found}, or give the input {expected} channels"


def bias(value: Tensor | None, shape: tuple[int, ...]) -> None:
    """Require a bias of that shape, or none.

    Raises:
        ShapeError: It has another shape.
    """
    if value is not None and tuple(value.shape) != shape:
        raise ShapeError(
            f"bias has shape {shape_of(value)}: one number for each output needs {shape}"
        )
