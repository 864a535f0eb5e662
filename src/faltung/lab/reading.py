"""What a network makes of a drawing: every layer's maps, the probabilities, and the way back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from faltung.errors import ArgumentError
from faltung.lab.drawing import Placing
from faltung.lab.fields import Asked, Drawing, Place, Short, packed
from faltung.lab.network import Network, Pass, Stage, forward

MAPS = 64  # feature maps of a layer that are sent, at most


class Unit(Asked):
    """A number of a feature map; of the last layer, `channel` is the class."""

    layer: Place
    channel: Place
    row: Place = 0
    column: Place = 0


class ReadAsked(Asked):
    """A drawing to read.

    Attributes:
        drawing: As `fields.ink_of` takes it.
        score: The class whose score is differentiated, or None.
        unit: The unit that is differentiated instead, or None.
    """

    drawing: Drawing
    score: Short | None = None
    unit: Unit | None = None


@dataclass(frozen=True)
class Layer:
    """A layer and its feature maps.

    Attributes:
        kind: "conv", "pool", "norm", "relu" or "linear".
        shape: Channels, rows, columns.
        window: Rows and columns of its window; 1 and 1 where it takes each number alone.
        field: Rows and columns of the receptive field of a unit.
        values: The maps, the first 64 at most, as `fields.packed`.
        gradient: Of the score or unit with respect to the maps, packed; None where it has none.
    """

    kind: str
    shape: tuple[int, int, int]
    window: tuple[int, int]
    field: int
    values: str
    gradient: str | None


@dataclass(frozen=True)
class Read:
    """What the network makes of a drawing.

    Attributes:
        image: What it sees, (H, W) of 0 to 255.
        placing: Where that lies on the drawing.
        drawn: There is ink on the drawing.
        scores: A number for each class, before the softmax.
        probabilities: After it; they sum to 1.
        layers: All layers in order.
        gradient: Of the score or unit with respect to the picture (0 to 1), packed, or None.
    """

    image: list[list[int]]
    placing: Placing
    drawn: bool
    scores: list[float]
    probabilities: list[float]
    layers: list[Layer]
    gradient: str | None


def read(network: Network, asked: ReadAsked) -> Read:
    """Answer what the network makes of a drawing.

    Raises:
        ArgumentError: There is no such class or unit.
        DataError: The drawing is none.
    """
    done = forward(network, asked.drawing)
    target = _target(network, asked, done)
    back: tuple[Tensor | None, ...] = (None,) * (len(done.results) + 1)
    if target is not None:
        back = torch.autograd.grad(target, (done.pixels, *done.results), allow_unused=True)
    layers = [
        _layer(stage, result, gradient)
        for stage, result, gradient in zip(network.stages, done.results, back[1:], strict=True)
    ]
    scores = done.results[-1][0].detach().double()
    seen = done.framed
    return Read(
        seen.image.tolist(),
        seen.placing,
        seen.drawn,
        scores.tolist(),
        scores.softmax(0).tolist(),
        layers,
        None if back[0] is None else packed(back[0]),
    )


def number_at(network: Network, done: Pass, unit: Unit) -> Tensor:
    """Return a unit's number, as a tensor without axes.

    Raises:
        ArgumentError: There is no such unit.
    """
    if unit.layer >= len(done.results):
        raise ArgumentError(
            f"layer is {unit.layer}: the network has {len(done.results)}; count from 0"
        )
    maps = done.results[unit.layer][0]
    planes = maps.reshape(maps.shape[0], 1, 1) if maps.dim() == 1 else maps
    place = (unit.channel, unit.row, unit.column)
    if any(at >= size for at, size in zip(place, planes.shape, strict=True)):
        raise ArgumentError(
            f"unit is {place}: layer {unit.layer} has channels, rows and columns "
            f"{tuple(planes.shape)}; count from 0"
        )
    return planes[place]


def _target(network: Network, asked: ReadAsked, done: Pass) -> Tensor | None:
    """Return the number that is differentiated, if any."""
    if asked.unit is not None:
        return number_at(network, done, asked.unit)
    if asked.score is None:
        return None
    classes = network.run.classes
    if asked.score not in classes:
        raise ArgumentError(
            f"score is {asked.score!r}: the classes are {', '.join(map(repr, classes))}"
        )
    return done.results[-1][0, classes.index(asked.score)]


def _layer(stage: Stage, result: Tensor, gradient: Tensor | None) -> Layer:
    maps = result[0]
    shape = (*maps.shape, 1, 1)[:3]
    rows, columns = stage.windows
    return Layer(
        stage.kind,
        (shape[0], shape[1], shape[2]),
        (rows.size, columns.size),
        stage.field.size,
        packed(maps[:MAPS]),
        None if gradient is None else packed(gradient[0, :MAPS]),
    )
