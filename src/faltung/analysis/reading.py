"""What an operator reads along the rows or columns of its input: windows, slices, enlargements."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung.analysis.calls import Call, shape_of
from faltung.analysis.reads import Reads, adaptive, moved, probed, sliced, slid, spread
from faltung.geometry import Window

RESIZES = ("upsample", "_upsample")


def reads(call: Call, dim: int) -> Reads | None:
    """Return what a call reads along a dimension of its first operand; None where it keeps cells.

    Raises:
        KeyError: The operator is none that reads neighbouring cells.
    """
    shape = shape_of(call.x)
    place, length = dim - len(shape) + 2, shape[dim]
    if call.slide is not None or _resizes(call) or call.name in _PLANES:
        if place not in {0, 1}:
            return None
        return _plane(call, place, length)
    return _AXES[call.name](call, dim, length)


def is_reading(call: Call) -> bool:
    """Say whether `reads` knows an operator."""
    return call.slide is not None or _resizes(call) or call.name in _PLANES or call.name in _AXES


def mixes_channels(call: Call) -> bool:
    """Say whether an operator's elements read other channels, or other depths, too."""
    convolves = call.slide is not None and call.slide.kind != "pool"
    return convolves or "pixel" in call.name or "3d" in call.name


def _resizes(call: Call) -> bool:
    return call.name.startswith(RESIZES) and "2d" in call.name and "backward" not in call.name


def _plane(call: Call, place: int, length: int) -> Reads:
    if _resizes(call):
        return probed(lambda x: _resized(call, place, x), length)
    if call.slide is None:
        return _PLANES[call.name](call, place, length)
    window = call.slide.windows[place]
    if call.slide.kind == "transposed":
        return spread(window, length, call.shape[place - 2])
    return slid(window, length)


def _resized(call: Call, place: int, x: Tensor) -> Tensor:
    """Return rows of numbers as the call would resize its rows or columns."""
    changed: dict[str, Any] = {}
    for name, alone in (("output_size", 2), ("scale_factors", 1.0)):
        if call.get(name) is not None:
            changed[name] = list(call.get(name))
            changed[name][1 - place] = alone
    other = ("scales_w", "scales_h")[place]
    if call.get(other) is not None:
        changed[other] = None
    with torch.no_grad():
        planes = x[:, None, :, None].repeat(1, 1, 1, 2)
        y: Tensor = call.again(planes.mT.contiguous() if place else planes, **changed)
    return y[:, 0, 0, :] if place else y[:, 0, :, 0]


def _adaptive(call: Call, place: int, length: int) -> Reads:
    return adaptive(length, call.shape[place - 2])


def _shuffled(call: Call, place: int, length: int) -> Reads:
    factor = call.get("upscale_factor", "downscale_factor")
    window = Window(factor, stride=factor)
    if call.name == "pixel_unshuffle":
        return slid(window, length)
    return spread(window, length, length * factor)


def _padded(call: Call, dim: int, length: int) -> Reads | None:
    sides = list(call.get("pad", "padding"))
    first = 2 * (len(shape_of(call.x)) - 1 - dim)
    before, after = sides[first : first + 2] or (0, 0)
    if before == after == 0:
        return None
    window = Window(1, before=before, after=after)
    mode = _PAD_MODES.get(call.name) or call.get("mode") or "constant"
    if mode == "constant":
        inside = range(length)
        places = (p if p in inside else None for p in range(-before, length + after))
        return moved(tuple(places), window)
    row = torch.arange(length, dtype=torch.float64)[None, None]
    filled = tf.pad(row, (before, after), mode=mode)[0, 0]
    return moved([int(p) for p in filled.tolist()], window)


def _sliced(call: Call, dim: int, length: int) -> Reads | None:
    if call.get("dim") % len(shape_of(call.x)) != dim:
        return None
    start, stop, step = slice(call.get("start"), call.get("end"), call.get("step")).indices(length)
    if call.name == "narrow":
        stop = start + call.get("length")
    return sliced(start, stop, step, length)


def _flipped(call: Call, dim: int, length: int) -> Reads | None:
    if dim not in {d % len(shape_of(call.x)) for d in call.get("dims")}:
        return None
    return moved(tuple(reversed(range(length))), None, "the order of the cells is turned")


def _rolled(call: Call, dim: int, length: int) -> Reads | None:
    shifts, dims = call.get("shifts"), call.get("dims")
    rank = len(shape_of(call.x))
    shift = sum(s for s, d in zip(shifts, dims, strict=True) if d % rank == dim) % length
    if not shift:
        return None
    return moved([(p - shift) % length for p in range(length)], None, "the cells are rolled around")


_PAD_MODES = {
    "constant_pad_nd": "constant",
    "reflection_pad2d": "reflect",
    "replication_pad2d": "replicate",
}
_PLANES: dict[str, Callable[[Call, int, int], Reads]] = {
    "adaptive_avg_pool2d": _adaptive,
    "_adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "pixel_shuffle": _shuffled,
    "pixel_unshuffle": _shuffled,
}


def _unfolded(call: Call, dim: int, length: int) -> Reads | None:
    if call.get("dimension") % len(shape_of(call.x)) != dim:
        return None
    return slid(Window(call.get("size"), stride=call.get("step")), length)


_AXES: dict[str, Callable[[Call, int, int], Reads | None]] = {
    "pad": _padded,
    "constant_pad_nd": _padded,
    "reflection_pad2d": _padded,
    "replication_pad2d": _padded,
    "slice": _sliced,
    "narrow": _sliced,
    "flip": _flipped,
    "roll": _rolled,
    "unfold": _unfolded,
}
