"""What elements see that an operator only moves: reshaped, transposed, put together, cut apart."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import prod

import torch
from torch.fx import Node

from faltung.analysis.calls import Call, shape_of
from faltung.analysis.operands import Sights, first, operands
from faltung.analysis.reads import sliced
from faltung.analysis.sight import Axis, Sight, union

STRIDES = (1_000_003, 1_000_033, 1_000_037, 1_000_039, 1_000_081, 1_000_099, 1_000_117, 1_000_121)


def reshaped(call: Call, sights: Sights) -> Sight:
    """A dimension stays where it keeps its size and the number of elements after it."""
    sight, old, new = first(call, sights), shape_of(call.x), call.shape

    def place(dim: int | None) -> int | None:
        if dim is None:
            return None
        after = prod(old[dim + 1 :])
        same = (d for d, n in enumerate(new) if n == old[dim] and prod(new[d + 1 :]) == after)
        return next(same, None)

    return sight.placed(place(sight.rows.dim), place(sight.columns.dim))


def restrided(call: Call, sights: Sights) -> Sight:
    """A view that moves, adds or drops dimensions: torch says where each went, by its stride."""
    sight, shape = first(call, sights), shape_of(call.x)
    marked = torch.empty_strided(shape, STRIDES[: len(shape)], device="meta")
    strides = call.again(marked).stride()

    def place(dim: int | None) -> int | None:
        found = dim is not None and STRIDES[dim] in strides
        return strides.index(STRIDES[dim]) if found else None  # type: ignore[index]

    return sight.placed(place(sight.rows.dim), place(sight.columns.dim))


def expanded(call: Call, sights: Sights) -> Sight:
    """Dimensions of one cell are repeated; leading ones may be added."""
    sight, old, new = first(call, sights), shape_of(call.x), call.shape
    more = len(new) - len(old)

    def along(axis: Axis) -> Axis:
        if axis.dim is None:
            return axis
        count = new[axis.dim + more]
        if count == len(axis.cells):
            return replace(axis, dim=axis.dim + more)
        reason = "one cell is repeated"
        return Axis(axis.dim + more, axis.cells * count, None, reason)

    return Sight(along(sight.rows), along(sight.columns))


def cat(call: Call, sights: Sights) -> Sight:
    """Tensors are put one after the other: a union, or cells in line where those are joined."""
    parts = [sight for _, sight in _listed(call, sights)]
    dim = call.get("dim") % len(call.shape)
    shapes = [shape_of(node) for node, _ in _listed(call, sights)]
    axes = []
    for which in (0, 1):
        along = [part.axes[which] for part in parts]
        if dim in {axis.dim for axis in along}:
            axes.append(_in_line(along, dim, [shape[dim] for shape in shapes]))
        else:
            axes.append(union([Sight(axis, axis) for axis in along]).rows)
    return Sight(axes[0], axes[1])


def _in_line(parts: Sequence[Axis], dim: int, lengths: Sequence[int]) -> Axis:
    cells: list[range] = []
    for part, length in zip(parts, lengths, strict=True):
        cells += part.cells if part.dim == dim else part.merged().cells * length
    return Axis(dim, tuple(cells), None, "maps are put one after the other")


def _listed(call: Call, sights: Sights) -> list[tuple[Node, Sight]]:
    """Return the tensors of a list in its order, those that see nothing with an empty sight."""
    known = dict(operands(call, sights))
    pattern = next(iter(known.values()))
    found = []
    for node in call.get("tensors"):
        shape = shape_of(node)
        blind = [
            Axis(a.dim, (range(0),) * (1 if a.dim is None else shape[a.dim]), a.endless, a.reason)
            for a in pattern.axes
        ]
        found.append((node, known.get(node, Sight(blind[0], blind[1]))))
    return found


def stacked(call: Call, sights: Sights) -> Sight:
    """Tensors are put beside each other in a new dimension."""
    dim = call.get("dim") % len(call.shape)
    parts = []
    for _, sight in operands(call, sights):
        dims = (None if a.dim is None else a.dim + (a.dim >= dim) for a in sight.axes)
        parts.append(sight.placed(*dims))
    return union(parts)


def parts(call: Call, sights: Sights) -> list[Sight]:
    """An operator that cuts a tensor into several along one dimension."""
    sight, rank = first(call, sights), len(shape_of(call.x))
    dim = call.get("dim") % rank
    if call.name == "unbind":
        dims = (None if a.dim in {None, dim} else a.dim - (a.dim > dim) for a in sight.axes)
        return [sight.placed(*dims)] * shape_of(call.x)[dim]
    sizes = [int(part.shape[dim]) for part in call.node.meta["val"]]
    made = []
    for stop, size in zip(accumulate(sizes), sizes, strict=True):
        rows, columns = (
            axis.through(sliced(stop - size, stop, 1, sum(sizes))) if axis.dim == dim else axis
            for axis in sight.axes
        )
        made.append(Sight(rows, columns))
    return made


def repeated(call: Call, sights: Sights) -> Sight:
    """A tensor is laid out several times; leading dimensions may be added."""
    sight, times = first(call, sights), call.get("repeats")
    more = len(times) - len(shape_of(call.x))

    def along(axis: Axis) -> Axis:
        if axis.dim is None or times[axis.dim + more] == 1:
            return replace(axis, dim=None if axis.dim is None else axis.dim + more)
        cells = axis.cells * times[axis.dim + more]
        return Axis(axis.dim + more, cells, None, "maps are put one after the other")

    return Sight(along(sight.rows), along(sight.columns))


def chosen(call: Call, sights: Sights) -> Sight:
    """Cells are picked along a dimension by numbers that may depend on anything."""
    sight, dim = first(call, sights), call.get("dim") % len(shape_of(call.x))
    return sight.placed(*(None if axis.dim == dim else axis.dim for axis in sight.axes))
