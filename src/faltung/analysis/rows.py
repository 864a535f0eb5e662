"""The values of an analysis: one frozen row for each layer, totals, fields."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from faltung.geometry import ReceptiveField, Sides

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One layer, or one function that is called between layers.

    Attributes:
        path: Where it is in the model, unique among the rows: "layer1.0.conv1"; of a function
            "layer1.0.add", the layer that calls it and the operator.
        name: Class of the layer, or name of the operator.
        input: Shape of the first tensor it reads.
        output: Shape of the tensor it returns.
        kernel: Height and width of its window; this and the next four are None without a window.
        stride: Step of the window down and right.
        padding: (top, bottom), (left, right).
        dilation: Distance between neighbouring taps.
        groups: Groups of channels; 1 for pools.
        rows: Receptive field along the height: size, jump, start; None where it is not defined in
            whole pixels. Where fields repeat with a period (behind an enlargement), the largest
            size and the start of the first cell.
        columns: The same along the width.
        sees: "rows x columns" of the largest field clipped to the image; (0, 0) for no image.
        why: Why a field is None, in words; empty where there is one.
        parameters: Numbers it learns, those counted by an earlier row left out.
        fully_connected: Parameters that a fully connected layer of the same sizes would need.
        locally_connected: Parameters that the layer would need if no place shared its weights.
        macs: Products that are summed; `faltung.analysis.costs` says what counts.
        flops: Operations on numbers.
        bytes: Bytes of all operands and results, each once.
        forward_ms: Median time of the operator forward, or None where none was measured.
        backward_ms: The same of all its gradients together.
    """

    path: str
    name: str
    input: Shape
    output: Shape
    kernel: tuple[int, int] | None
    stride: tuple[int, int] | None
    padding: tuple[Sides, Sides] | None
    dilation: tuple[int, int] | None
    groups: int | None
    rows: ReceptiveField | None
    columns: ReceptiveField | None
    sees: tuple[int, int]
    why: str
    parameters: int
    fully_connected: int | None
    locally_connected: int | None
    macs: int
    flops: int
    bytes: int
    forward_ms: float | None = None
    backward_ms: float | None = None

    @property
    def intensity(self) -> float:
        """FLOPs for each byte moved; 0 where nothing moves."""
        return self.flops / self.bytes if self.bytes else 0.0


@dataclass(frozen=True)
class Totals:
    """Sums over a model.

    Attributes:
        parameters: Numbers it has as parameters, each once.
        trainable: Those that require a gradient.
        macs: Products that are summed.
        flops: Operations on numbers.
        bytes: Bytes moved.
        forward_ms: Sum of the medians forward, or None.
        backward_ms: Sum of the medians backward, or None.
    """

    parameters: int
    trainable: int
    macs: int
    flops: int
    bytes: int
    forward_ms: float | None = None
    backward_ms: float | None = None


@dataclass(frozen=True)
class Field:
    """The receptive field of one layer.

    Attributes:
        path: Where the layer is in the model.
        name: Class of the layer, or name of the operator.
        rows: Size, jump and start along the height, or None where they are not defined.
        columns: The same along the width.
        map: Height and width of the feature map; 1 along an axis that was merged or summed away.
        image: Height and width of the image.
        row_cells: For each row of the map the rows of the image it depends on, first to last,
            clipped to the image and exact: padding, gaps and borders are respected.
        column_cells: The same for columns.
        why: Why a field is None, in words.
    """

    path: str
    name: str
    rows: ReceptiveField | None
    columns: ReceptiveField | None
    map: tuple[int, int]
    image: tuple[int, int]
    row_cells: tuple[range, ...]
    column_cells: tuple[range, ...]
    why: str = ""

    def clipped(self, row: int, column: int) -> tuple[range, range]:
        """Return the rows and the columns of the image that one cell of the map depends on.

        Both are empty for a cell that depends on no pixel.

        Raises:
            IndexError: The map has no such cell.
        """
        rows, columns = self.row_cells[row], self.column_cells[column]
        return (rows, columns) if rows and columns else (range(0), range(0))


def as_plain(row: Row) -> Mapping[str, Any]:
    """Return a row as names and plain values, its intensity included."""
    return {**dataclasses.asdict(row), "intensity": row.intensity}


def summed(rows: Iterable[Row], parameters: int, trainable: int) -> Totals:
    """Return the sums over all rows."""
    listed = list(rows)
    times = [
        [ms for row in listed if (ms := getattr(row, name)) is not None]
        for name in ("forward_ms", "backward_ms")
    ]
    forward, backward = (sum(known) if known else None for known in times)
    macs, flops, moved = (sum(getattr(r, n) for r in listed) for n in ("macs", "flops", "bytes"))
    return Totals(parameters, trainable, macs, flops, moved, forward, backward)
