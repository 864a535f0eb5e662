"""One unit of a network: its window, its kernel, its sum, its receptive field on the drawing."""

from dataclasses import dataclass

from torch import Tensor

from faltung.lab.fields import Asked, Drawing
from faltung.lab.network import Network, Stage, forward
from faltung.lab.reading import MAPS, Unit, number_at
from faltung.pictures.arithmetic import equals, factor, shown

Span = tuple[float, float]


class UnitAsked(Asked):
    """A unit of the network that reads a drawing."""

    drawing: Drawing
    unit: Unit


@dataclass(frozen=True)
class Part:
    """What a unit takes from one map of the layer before it.

    Attributes:
        channel: The map.
        inputs: The numbers under the window, (R, S); None in the padding.
        kernel: What they are multiplied by, (R, S); empty where nothing is.
        sum: What the map adds to the unit.
    """

    channel: int
    inputs: list[list[float | None]]
    kernel: list[list[float]]
    sum: float


@dataclass(frozen=True)
class UnitSeen:
    """A unit, looked into.

    Attributes:
        kind: The kind of its layer.
        value: Its number.
        window: Row, column, rows and columns of its window on the maps before it; the first two
            may lie in the padding.
        parts: What it takes from each of these maps, the first 64 at most.
        text: Its arithmetic in a line.
        rows: First and last-but-one row of its receptive field on the network's picture, not
            clipped.
        columns: The same of columns.
        clipped: Whether a part of the field lies outside of the picture.
        down: Where the part inside of the picture begins and ends on the drawing, in its pixels.
        across: The same from left to right.
    """

    kind: str
    value: float
    window: tuple[int, int, int, int]
    parts: list[Part]
    text: str
    rows: tuple[int, int]
    columns: tuple[int, int]
    clipped: bool
    down: Span
    across: Span


def look(network: Network, asked: UnitAsked) -> UnitSeen:
    """Look into a unit.

    Raises:
        ArgumentError: There is no such unit.
        DataError: The drawing is none.
    """
    done = forward(network, asked.drawing)
    unit, size = asked.unit, network.run.frame.size
    value = number_at(network, done, unit).item()
    stage, maps = network.stages[unit.layer], done.into(unit.layer)[0].detach()
    parts, window, text = _ARITHMETIC[stage.kind](stage, maps, unit, value)
    spans = [stage.field.span(at) for at in (unit.row, unit.column)]
    inside = [stage.field.clipped(at, size) for at in (unit.row, unit.column)]
    placing = done.framed.placing
    return UnitSeen(
        stage.kind,
        value,
        window,
        parts[:MAPS],
        text,
        (spans[0].start, spans[0].stop),
        (spans[1].start, spans[1].stop),
        spans != inside,
        placing.rows(inside[0]),
        placing.columns(inside[1]),
    )


_Told = tuple[list[Part], tuple[int, int, int, int], str]


def _convolution(stage: Stage, maps: Tensor, unit: Unit, value: float) -> _Told:
    weight: Tensor = stage.module.weight[unit.channel]  # type: ignore[index]
    window = _window(stage, unit)
    parts = []
    for channel, (plane, kernel) in enumerate(zip(maps, weight, strict=True)):
        inputs = _under(plane, stage, unit)
        total = sum(
            x * w
            for line, taps in zip(inputs, kernel.tolist(), strict=True)
            for x, w in zip(line, taps, strict=True)
            if x is not None
        )
        parts.append(Part(channel, inputs, kernel.tolist(), total))
    sums = [part.sum for part in parts]
    return parts, window, f"{' + '.join(map(factor, sums))} {equals(value, *sums)}"


def _pool(stage: Stage, maps: Tensor, unit: Unit, value: float) -> _Told:
    inputs = _under(maps[unit.channel], stage, unit)
    seen = [x for line in inputs for x in line if x is not None]
    text = f"max({', '.join(map(shown, seen))}) {equals(value, *seen)}"
    return [Part(unit.channel, inputs, [], value)], _window(stage, unit), text


def _norm(stage: Stage, maps: Tensor, unit: Unit, value: float) -> _Told:
    held = stage.module
    names = ("running_mean", "running_var", "weight", "bias")
    mean, variance, scale, shift = (getattr(held, name)[unit.channel].item() for name in names)
    deviation = (variance + float(held.eps)) ** 0.5  # type: ignore[arg-type]
    x, window, part = _alone(maps, unit, value)
    fraction = f"({shown(x)} − {factor(mean)}) / {shown(deviation)}"
    told = equals(value, x, mean, deviation, scale, shift)
    return part, window, f"{fraction} × {factor(scale)} + {factor(shift)} {told}"


def _relu(_: Stage, maps: Tensor, unit: Unit, value: float) -> _Told:
    x, window, part = _alone(maps, unit, value)
    return part, window, f"max(0, {shown(x)}) {equals(value, x)}"


def _linear(stage: Stage, maps: Tensor, unit: Unit, value: float) -> _Told:
    channels, rows, columns = maps.shape
    weight: Tensor = stage.module.weight[unit.channel]  # type: ignore[index]
    bias: float = stage.module.bias[unit.channel].item()  # type: ignore[index]
    shaped = weight.reshape(channels, rows, columns)
    parts = [
        Part(c, maps[c].tolist(), shaped[c].tolist(), float((maps[c] * shaped[c]).sum()))
        for c in range(channels)
    ]
    sums = [*(part.sum for part in parts), bias]
    text = f"{' + '.join(map(factor, sums))} {equals(value, *sums)}"
    return parts, (0, 0, rows, columns), text


def _alone(
    maps: Tensor, unit: Unit, value: float
) -> tuple[float, tuple[int, int, int, int], list[Part]]:
    x = maps[unit.channel, unit.row, unit.column].item()
    return x, (unit.row, unit.column, 1, 1), [Part(unit.channel, [[x]], [], value)]


def _window(stage: Stage, unit: Unit) -> tuple[int, int, int, int]:
    rows, columns = stage.windows
    return rows.start(unit.row), columns.start(unit.column), rows.extent, columns.extent


def _under(plane: Tensor, stage: Stage, unit: Unit) -> list[list[float | None]]:
    """Return the numbers of a map under the window of a unit, None in the padding."""
    rows, columns = stage.windows
    height, width = plane.shape
    down = [rows.start(unit.row) + tap * rows.dilation for tap in range(rows.size)]
    across = [columns.start(unit.column) + tap * columns.dilation for tap in range(columns.size)]
    return [
        [plane[y, x].item() if 0 <= y < height and 0 <= x < width else None for x in across]
        for y in down
    ]


_ARITHMETIC = {
    "conv": _convolution,
    "pool": _pool,
    "norm": _norm,
    "relu": _relu,
    "linear": _linear,
}
