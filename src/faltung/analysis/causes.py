"""Likely causes of sizes that do not fit, and what helps."""

from dataclasses import dataclass
from math import prod

import torch
from torch import nn

from faltung import asked
from faltung.analysis.chain import Link
from faltung.analysis.inputs import shown
from faltung.analysis.record import Recording
from faltung.errors import FaltungError

JOINS = ("cat", "add", "add_", "mul", "mul_", "sub", "sub_", "stack", "where", "div")


@dataclass(frozen=True)
class Cause:
    """Why a layer failed.

    Attributes:
        rule: What does not fit, in one sentence.
        cause: What most likely led there; may be empty.
        remedy: What helps.
        sizes: Another image size may help.
    """

    rule: str
    cause: str
    remedy: str
    sizes: bool = True


def cause(layer: nn.Module, failed: Recording, way: tuple[Link, ...]) -> Cause | None:
    """Return why a run failed, or None where it is not known to be the sizes."""
    if isinstance(layer, nn.Linear) and failed.given:
        return _linear(layer, failed.given[0], way)
    if isinstance(layer, nn.modules.batchnorm._BatchNorm) and failed.given:
        return _normalised(layer, failed.given[0])
    if isinstance(layer, asked.TORCHS) and failed.given:
        return _windowed(layer, failed.given[0])
    if failed.operator in JOINS:
        return _joined(failed)
    if isinstance(failed.error, FaltungError):
        return Cause(str(failed.error), "", "", sizes=True)
    return None


def _linear(layer: nn.Linear, given: tuple[int, ...], way: tuple[Link, ...]) -> Cause | None:
    takes, gets = layer.in_features, given[-1]
    if takes == gets:
        return None
    rule = f"it takes {takes} features but gets {gets} (shape {shown(given)})"
    if len(given) == 4 and takes == prod(given[1:]):
        return Cause(
            rule,
            f"{takes} is {shown(given[1:])}: the maps were not made one row of numbers",
            "put torch.nn.Flatten() before it",
            sizes=False,
        )
    maps = next((s.shape for s in reversed(way) if len(s.shape) == 4), None)
    change = f"write Linear({gets}, {layer.out_features})"
    if maps is None or prod(maps[1:]) != gets:
        return Cause(rule, "", change)
    why = f"{gets} is {shown(maps[1:])}, the channels, height and width of the last maps"
    channels = maps[1]
    if takes == channels:
        return Cause(rule, why, "put torch.nn.AdaptiveAvgPool2d(1) before the flattening", False)
    root = round((takes / channels) ** 0.5)
    if channels * root * root == takes:
        why += f"; {takes} would be {channels}x{root}x{root}"
    return Cause(rule, why, change)


def _normalised(layer: nn.Module, given: tuple[int, ...]) -> Cause | None:
    takes = int(getattr(layer, "num_features", 0))
    if len(given) < 2 or takes == given[1]:
        return None
    name = type(layer).__name__
    return Cause(
        f"it normalises {takes} channels but gets {given[1]} (shape {shown(given)})",
        "the layer before it has another number of channels",
        f"write {name}({given[1]})",
        sizes=False,
    )


def _windowed(layer: nn.Module, given: tuple[int, ...]) -> Cause | None:
    """Ask the functions of this library, whose errors name cause and remedy."""
    parameter = next(layer.parameters(), torch.empty(0))
    try:
        asked.call(layer, torch.zeros(given, dtype=parameter.dtype, device=parameter.device))
    except FaltungError as error:
        return Cause(str(error), "", "", sizes="window" in str(error))
    return None


def _joined(failed: Recording) -> Cause | None:
    shapes = dict.fromkeys(failed.operands)
    if len(shapes) < 2:
        return None
    planes = dict.fromkeys(shape[-2:] for shape in shapes if len(shape) == 4)
    rule = f"{failed.operator.rstrip('_')} joins {' and '.join(map(shown, shapes))}"
    if len(planes) < 2:
        return Cause(
            rule, "the branches differ in their channels", "give them equal channels", False
        )
    why = "the branches make maps of different sizes"
    heights = [plane[0] for plane in planes] + [plane[1] for plane in planes]
    if max(heights) - min(heights) <= 2 * len(planes):
        why += ": an odd size was halved and rounded, or a window without padding took the border"
    remedy = (
        "pad the smaller or crop the larger, enlarge to the size of the other (interpolate with "
    )
    return Cause(rule, why, remedy + "size=other.shape[-2:]), or use images whose halves are even")
