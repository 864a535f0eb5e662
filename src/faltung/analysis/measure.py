"""Receptive fields measured by gradients: a proof of the computed ones, and the effective ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.fx import Node

from faltung.analysis.calls import shape_of
from faltung.analysis.fields import images, writers
from faltung.analysis.inputs import Input
from faltung.analysis.keeping import same_random
from faltung.analysis.layers import Analysed, Layer, analyse
from faltung.analysis.operands import one
from faltung.analysis.replay import floating, replay
from faltung.analysis.sight import Sight
from faltung.analysis.surrogate import handed_on, surrogate
from faltung.errors import ArgumentError

Cell = tuple[int, int]
Fields = tuple[tuple[range, range], ...]

SEED = 17


@dataclass(frozen=True)
class Checked:
    """A layer's computed receptive field beside the measured one.

    Attributes:
        path: Where the layer is in the model.
        name: Class of the layer, or name of the operator.
        cells: (row, column) of the cells of its map that were compared.
        computed: For each of them the rows and the columns of the image it depends on.
        measured: The same by gradients; None for a layer whose result has no gradient.
    """

    path: str
    name: str
    cells: tuple[Cell, ...]
    computed: Fields
    measured: Fields | None

    @property
    def right(self) -> bool:
        """Both agree in every cell, or there is nothing to compare with."""
        return self.measured is None or self.computed == self.measured


def verify(model: torch.nn.Module, input: Input) -> Iterator[Checked]:
    """Compare the computed receptive field of every layer with the one measured by gradients.

    In each layer the corner cells, the one in the middle and its neighbour across the diagonal are
    compared, first and last row and column of the image, exactly. The weights are random; see
    `faltung.analysis.surrogate` for what else is changed, and why a gradient then misses nothing.
    What there hands its input on (a function of single elements, a normalisation) is compared with
    what was measured for that input.

    Args:
        model: As for `summary`.
        input: As for `summary`; only its sizes count.

    Yields:
        One comparison a layer, as soon as it is made.
    """
    analysed = analyse(model, input)
    pixels, values = surrogate(analysed.captured, images(analysed.captured))
    known: dict[Node | None, Fields | None] = {}
    written = writers(analysed.captured)
    for layer in analysed.layers:
        sight = one(analysed.sights.get(layer.call.node))
        if sight is None:
            continue
        cells = _chosen(sight)
        computed = tuple(sight.cell(row, column) for row, column in cells)
        value = _tensor(values[layer.call.node])
        source = handed_on(layer.call, analysed.sights)
        changed = source is not None and written[source] > layer.call.writes
        measured = None if changed else known.get(source)
        if value is not None and measured is None:
            measured = tuple(_measured(value, sight, cell, pixels) for cell in cells)
        known[layer.call.node] = measured
        yield Checked(layer.path, layer.name, cells, computed, measured)


def measured_field(
    model: torch.nn.Module, input: Input, layer_path: str, cell: Cell | None = None
) -> tuple[range, range]:
    """Return the rows and columns of the image that one cell of a layer depends on, by gradients.

    Args:
        model: As for `summary`.
        input: As for `summary`; only its sizes count.
        layer_path: Path of a row of `summary`.
        cell: (row, column) in the feature map; None means the one in the middle.

    Raises:
        ArgumentError: There is no such layer or cell, or it has no gradient.
    """
    analysed = analyse(model, input)
    layer, sight = _layer(analysed, layer_path)
    pixels, values = surrogate(analysed.captured, images(analysed.captured))
    value = _tensor(values[layer.call.node])
    if value is None:
        raise ArgumentError(f"layer_path is {layer_path!r}, whose result has no gradient")
    return _measured(value, sight, _cell(sight, cell), pixels)


def effective_field(
    model: torch.nn.Module,
    input: Input,
    layer_path: str,
    cell: Cell | None = None,
    *,
    samples: int = 8,
) -> npt.NDArray[np.float64]:
    """Return how strongly each pixel of the image influences one cell: its effective field.

    The energy of a pixel is the sum, over channels of the cell and channels of the image, of the
    squared derivatives, here in expectation: directions in channel space are drawn at random, and
    for sizes instead of a tensor the image too.

    Args:
        model: As for `summary`; its own weights count, in its own mode.
        input: As for `summary`.
        layer_path: Path of a row of `summary`.
        cell: (row, column) in the feature map; None means the one in the middle.
        samples: Random directions, each with one run forward and backward.

    Returns:
        Energy (H, W), float64, not normalised.

    Raises:
        ArgumentError: There is no such layer or cell, it has no gradient, or samples is below 1.

    Source: W. Luo, Y. Li, R. Urtasun, R. Zemel, "Understanding the Effective Receptive Field in
    Deep Convolutional Neural Networks" (NeurIPS, 2016).
    """
    if samples < 1:
        raise ArgumentError(f"samples is {samples}: it must be at least 1")
    analysed = analyse(model, input)
    layer, sight = _layer(analysed, layer_path)
    place = _cell(sight, cell)
    generator = torch.Generator().manual_seed(SEED)
    height, width = shape_of(images(analysed.captured)[0])[-2:]
    energy = torch.zeros(height, width, dtype=torch.float64)
    for _ in range(samples):
        pixels, value = _run(analysed, layer, isinstance(input, Tensor), generator)
        seed = torch.zeros_like(value)
        spot = seed[_index(value, sight, place)]
        spot.copy_(torch.randn(spot.shape, generator=generator))
        for gradient in _gradients(value, pixels, seed):
            energy += gradient.double().square().flatten(0, -3).sum(0).cpu()
    found: npt.NDArray[np.float64] = (energy / samples).numpy()
    return found


def _run(
    analysed: Analysed, layer: Layer, given: bool, generator: torch.Generator
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Run the model up to a layer; return the images and the layer's result."""
    captured = analysed.captured
    values: dict[Node, Any] = {
        node: t.detach() if node in captured.parameters else t.detach().clone()
        for node, t in captured.tensors.items()
    }
    pixels = []
    for node, tensor in zip(captured.inputs, captured.arguments, strict=True):
        values[node] = tensor.detach()
        if node in images(captured):
            drawn = tensor if given else torch.randn(tensor.shape, generator=generator)
            pixels.append(drawn.detach().to(tensor).requires_grad_())
            values[node] = pixels[-1] * 1  # what a model writes into must be no leaf
    stop = captured.calls.index(layer.call.node) + 1
    with same_random(captured.model), torch.enable_grad():
        found = _tensor(replay(captured.calls[:stop], values)[layer.call.node])
    if found is None:
        raise ArgumentError(f"layer_path is {layer.path!r}, whose result has no gradient")
    return tuple(pixels), found


def _tensor(value: Any) -> Tensor | None:
    first = value[0] if isinstance(value, (tuple, list)) else value
    return first if floating(first) and first.requires_grad else None


def _layer(analysed: Analysed, path: str) -> tuple[Layer, Sight]:
    for layer in analysed.layers:
        sight = one(analysed.sights.get(layer.call.node))
        if layer.path == path and sight is not None:
            return layer, sight
    known = ", ".join(layer.path for layer in analysed.layers)
    raise ArgumentError(f"layer_path is {path!r}: the layers are {known}")


def _cell(sight: Sight, cell: Cell | None) -> Cell:
    counts = tuple(len(axis.cells) for axis in sight.axes)
    if cell is None:
        return counts[0] // 2, counts[1] // 2
    if any(not 0 <= at < count for at, count in zip(cell, counts, strict=True)):
        raise ArgumentError(f"cell is {cell}: the map has {counts[0]} rows and {counts[1]} columns")
    return cell


def _chosen(sight: Sight) -> tuple[Cell, ...]:
    rows, columns = (len(axis.cells) for axis in sight.axes)
    middle = (rows // 2, columns // 2)
    beside = (max(middle[0] - 1, 0), max(middle[1] - 1, 0))
    return tuple(dict.fromkeys(((0, 0), beside, middle, (rows - 1, columns - 1))))


def _index(value: Tensor, sight: Sight, cell: Cell) -> tuple[Any, ...]:
    """Return the index of all elements of one cell; of all, along an axis that was merged."""
    index: list[Any] = [slice(None)] * value.dim()
    for axis, at in zip(sight.axes, cell, strict=True):
        if axis.dim is not None:
            index[axis.dim] = at
    return tuple(index)


def _measured(
    value: Tensor, sight: Sight, cell: Cell, pixels: Sequence[Tensor]
) -> tuple[range, range]:
    seed = torch.zeros_like(value)
    spot = seed[_index(value, sight, cell)]
    generator = torch.Generator().manual_seed(SEED)  # unequal numbers: a softmax sums to one
    spot.copy_(torch.rand(spot.shape, generator=generator, dtype=torch.float64) + 0.5)
    touched = sum(g.abs().flatten(0, -3).sum(0) for g in _gradients(value, pixels, seed))
    seen = torch.as_tensor(touched) > 0
    return _extent(seen.any(1)), _extent(seen.any(0))


def _gradients(value: Tensor, pixels: Sequence[Tensor], seed: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(
        value, pixels, seed, retain_graph=True, allow_unused=True, materialize_grads=True
    )


def _extent(seen: Tensor) -> range:
    places = seen.nonzero().flatten().tolist()
    return range(places[0], places[-1] + 1) if places else range(0)
