"""What the elements of an operator's result see, from what its operands see.

`faltung.analysis.reading` has what reads neighbouring cells; here is what moves, joins, reduces or
mixes. An operator without a rule is taken to see all that its operands see: never too little.
The statistics of a normalisation count as given numbers, as they do in the literature.
"""

from collections.abc import Callable
from dataclasses import replace

from torch.fx import Node

from faltung.analysis import moving
from faltung.analysis.calls import Call, shape_of
from faltung.analysis.operands import Seen, Sights, first, operands, placed_in
from faltung.analysis.reading import is_reading, mixes_channels, reads
from faltung.analysis.sight import Axis, Sight, union

NORMALISATIONS = (
    "batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "local_response_norm",
    "native_batch_norm", "native_group_norm", "native_layer_norm", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_fused_rms_norm", "cudnn_batch_norm",
)  # fmt: skip


def known(call: Call) -> bool:
    """Say whether an operator has a rule."""
    return call.name in RULES or is_reading(call) or call.pointwise


def seen(call: Call, sights: Sights) -> Seen:
    """Return what a call's result sees, or None where it sees nothing of the image."""
    if not any(sights.get(node) for node in call.operands()):
        return None
    if call.name in RULES:
        return RULES[call.name](call, sights)
    if is_reading(call):
        return _read(call, sights)
    return (_aligned if call.pointwise else _everything)(call, sights)


def _aligned(call: Call, sights: Sights) -> Sight:
    """Element by element, shapes broadcast."""
    parts = [placed_in(call, node, sights) for node, _ in operands(call, sights)]
    return union([part for part in parts if part is not None])


def _copied(call: Call, sights: Sights) -> Seen:
    """The first operand is overwritten by the second."""
    source = call.get("src")
    return placed_in(call, source, sights) if isinstance(source, Node) else None


def _everything(call: Call, sights: Sights) -> Sight:
    whole = union([sight.merged() for _, sight in operands(call, sights)])
    reason = f"{call.name} is taken to read everything"
    rows, columns = (replace(axis, endless=None, reason=reason) for axis in whole.axes)
    return Sight(rows, columns)


def _product(call: Call, sights: Sights) -> Sight:
    """A product of matrices: each element sees whole rows and columns of both."""
    return union([sight.merged() for _, sight in operands(call, sights)])


def _read(call: Call, sights: Sights) -> Sight:
    sight = first(call, sights)
    channels = len(shape_of(call.x)) - 3

    def along(axis: Axis) -> Axis:
        if axis.dim is None:
            return axis
        if axis.dim == channels and mixes_channels(call):
            return axis.merged()
        found = reads(call, axis.dim)
        return axis if found is None else axis.through(found)

    return Sight(along(sight.rows), along(sight.columns))


def _last(call: Call, sights: Sights) -> Sight:
    """A linear layer: the last dimension is mixed."""
    sight, last = first(call, sights), len(shape_of(call.x)) - 1
    return sight.placed(*(None if axis.dim == last else axis.dim for axis in sight.axes))


def _dims(call: Call) -> set[int]:
    """Return the dimensions that a call reduces or mixes: all where it names none."""
    rank = len(shape_of(call.x))
    given = call.get("dim", "dims")
    listed = [given] if isinstance(given, int) else list(given or range(rank))
    return {dim % rank for dim in listed}


def _reduced(call: Call, sights: Sights) -> Sight:
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


def _mixed(call: Call, sights: Sights) -> Sight:
    """Every cell along a dimension sees what all see: softmax, cumulative sums, sorting."""
    sight, dims = first(call, sights), _dims(call)

    def along(axis: Axis) -> Axis:
        if axis.dim not in dims or axis.dim is None:
            return axis
        reason = f"{call.name} runs over all cells"
        return Axis(axis.dim, axis.merged().cells * len(axis.cells), None, reason)

    return Sight(along(sight.rows), along(sight.columns))


def _item(call: Call, sights: Sights) -> Seen:
    source, number = call.node.args
    found = sights[source]  # type: ignore[index]
    return found[number] if isinstance(found, list) else found  # type: ignore[index]


_GROUPS: tuple[tuple[Callable[[Call, Sights], Seen], str], ...] = (
    (
        first,
        "contiguous clone detach alias to _to_copy type_as float double lift_fresh lift_fresh_copy "
        "identity real imag _assert_tensor_metadata dropout feature_dropout native_dropout "
        "alpha_dropout feature_alpha_dropout prelu _prelu_kernel rrelu hardtanh celu selu relu6 "
        + " ".join(NORMALISATIONS),
    ),
    (
        _reduced,
        "mean sum amax amin max min std var norm prod logsumexp argmax argmin linalg_vector_norm "
        "any all std_mean var_mean",
    ),
    (_mixed, "softmax _softmax log_softmax _log_softmax cumsum cumprod sort normalize"),
    (moving.reshaped, "view reshape flatten unflatten _unsafe_view"),
    (
        moving.restrided,
        "permute transpose t movedim moveaxis swapaxes swapdims squeeze unsqueeze select numpy_T",
    ),
    (moving.expanded, "expand expand_as broadcast_to"),
    (_product, "matmul mm bmm addmm baddbmm scaled_dot_product_attention einsum dot"),
    (_last, "linear"),
    (moving.parts, "split split_with_sizes chunk tensor_split unbind unsafe_split unsafe_chunk"),
    (moving.cat, "cat concat"),
    (moving.stacked, "stack"),
    (_copied, "copy"),
    (_item, "getitem"),
)
RULES = {name: rule for rule, names in _GROUPS for name in names.split()}
