"""What elements see that an operator mixes: sums, searches, softmax, products of matrices."""

from dataclasses import replace

from faltung.analysis.calls import Call, shape_of
from faltung.analysis.operands import Sights, first, operands
from faltung.analysis.sight import Axis, Sight, union

SIDES = {"mat1": -1, "mat2": -2, "batch1": -1, "batch2": -2, "self": -1, "input": -1, "other": -2}


def product(call: Call, sights: Sights) -> Sight:
    """A product of matrices: with weights a dimension is summed, of two maps all is mixed."""
    seeing = operands(call, sights)
    if len(seeing) > 1:
        return union([sight.merged() for _, sight in seeing])
    node, sight = seeing[0]
    rank = len(shape_of(node))
    side = next((at for name, at in SIDES.items() if call.arguments.get(name) is node), None)
    if side is None or rank < 2 or len(call.shape) != rank:
        return sight.merged()
    return sight.placed(*(None if a.dim in {None, rank + side} else a.dim for a in sight.axes))


def linear(call: Call, sights: Sights) -> Sight:
    """A linear layer: the last dimension is mixed."""
    sight, last = first(call, sights), len(shape_of(call.x)) - 1
    return sight.placed(*(None if axis.dim == last else axis.dim for axis in sight.axes))


def einsum(call: Call, sights: Sights) -> Sight:
    """A sum of products: a dimension stays where its letter is in the result."""
    inputs, _, output = str(call.get("equation")).replace(" ", "").partition("->")
    named = dict(zip(call.get("tensors"), inputs.split(","), strict=False))
    parts = []
    for node, sight in operands(call, sights):
        letters = named.get(node, "")
        if "." in letters or "." in output or not output:
            parts.append(sight.merged())
            continue
        dims = (None if a.dim is None else output.find(letters[a.dim]) for a in sight.axes)
        parts.append(sight.placed(*(None if d in {None, -1} else d for d in dims)))
    return union(parts)


def _dims(call: Call) -> set[int]:
    """Return the dimensions that a call reduces or mixes: all where it names none."""
    rank = len(shape_of(call.x))
    given = call.get("dim", "dims")
    listed = [given] if isinstance(given, int) else list(given or range(rank))
    return {dim % rank for dim in listed}


def reduced(call: Call, sights: Sights) -> Sight:
    """Dimensions are summed up or searched; kept with one cell, or gone."""
    sight, gone = first(call, sights), _dims(call)
    if call.get("keepdim"):
        rows, columns = (
            replace(axis.merged(), dim=axis.dim) if axis.dim in gone else axis
            for axis in sight.axes
        )
        return Sight(rows, columns)

    def place(dim: int | None) -> int | None:
        lost = dim is None or dim in gone
        return None if lost else dim - sum(other < dim for other in gone)  # type: ignore[operator]

    return sight.placed(place(sight.rows.dim), place(sight.columns.dim))


def mixed(call: Call, sights: Sights) -> Sight:
    """Every cell along a dimension sees what all see: softmax, cumulative sums, sorting."""
    sight, dims = first(call, sights), _dims(call)

    def along(axis: Axis) -> Axis:
        if axis.dim not in dims or axis.dim is None:
            return axis
        reason = f"{call.name} runs over all cells"
        return Axis(axis.dim, axis.merged().cells * len(axis.cells), None, reason)

    return Sight(along(sight.rows), along(sight.columns))
