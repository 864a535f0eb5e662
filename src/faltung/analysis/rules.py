"""What the elements of an operator's result see, from what its operands see.

`faltung.analysis.reading` has what reads neighbouring cells; here is what moves, joins, reduces or
mixes. An operator without a rule is taken to see all that its operands see: never too little.
The statistics of a normalisation count as given numbers, as they do in the literature.
"""

from collections.abc import Callable
from dataclasses import replace

from torch.fx import Node

from faltung.analysis import mixing, moving
from faltung.analysis.calls import Call, shape_of
from faltung.analysis.operands import Seen, Sights, first, operands, placed_in
from faltung.analysis.reading import is_reading, mixes_channels, reads
from faltung.analysis.sight import Axis, Sight, union

NORMALISATIONS = (
    "batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "local_response_norm",
    "native_batch_norm", "native_group_norm", "native_layer_norm", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_native_batch_norm_legit_functional",
    "_fused_rms_norm", "cudnn_batch_norm",
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


def _read(call: Call, sights: Sights) -> Sight:
    sight = first(call, sights)
    last = len(shape_of(call.x)) - 3

    def along(axis: Axis) -> Axis:
        if axis.dim is None:
            return axis
        if 1 <= axis.dim <= last and mixes_channels(call):
            return axis.merged()
        found = reads(call, axis.dim)
        return axis if found is None else axis.through(found)

    return Sight(along(sight.rows), along(sight.columns))


def _reduced_or_aligned(call: Call, sights: Sights) -> Sight:
    """`max` and `min` of two tensors work element by element."""
    return (_aligned if call.get("other") is not None else mixing.reduced)(call, sights)


def _cut(call: Call, sights: Sights) -> Sight:
    """A dimension becomes shorter, each element computed from others along it."""
    sight, dim = first(call, sights), call.get("dim") % len(shape_of(call.x))
    return sight.placed(*(None if axis.dim == dim else axis.dim for axis in sight.axes))


def _blind(_call: Call, _sights: Sights) -> None:
    """Only the shape of an operand is used."""


def _item(call: Call, sights: Sights) -> Seen:
    source, number = call.node.args
    found = sights[source]  # type: ignore[index]
    return found[number] if isinstance(found, list) else found  # type: ignore[index]


_GROUPS: tuple[tuple[Callable[[Call, Sights], Seen], str], ...] = (
    (
        first,
        "contiguous clone detach alias to _to_copy type_as float double lift_fresh lift_fresh_copy "
        "identity real imag _assert_tensor_metadata dropout feature_dropout native_dropout "
        "alpha_dropout feature_alpha_dropout channel_shuffle " + " ".join(NORMALISATIONS),
    ),
    (
        _reduced_or_aligned,
        "mean sum amax amin max min std var norm prod logsumexp argmax argmin linalg_vector_norm "
        "any all std_mean var_mean",
    ),
    (mixing.mixed, "softmax _softmax log_softmax _log_softmax cumsum cumprod sort normalize"),
    (moving.reshaped, "view reshape flatten unflatten _unsafe_view"),
    (
        moving.restrided,
        "permute transpose t movedim moveaxis swapaxes swapdims squeeze unsqueeze select numpy_T",
    ),
    (moving.expanded, "expand expand_as broadcast_to"),
    (mixing.product, "matmul mm bmm addmm baddbmm scaled_dot_product_attention dot"),
    (mixing.einsum, "einsum"),
    (mixing.linear, "linear"),
    (moving.parts, "split split_with_sizes chunk tensor_split unbind unsafe_split unsafe_chunk"),
    (moving.cat, "cat concat"),
    (moving.stacked, "stack"),
    (_copied, "copy"),
    (moving.repeated, "repeat"),
    (moving.chosen, "index_select"),
    (_cut, "glu topk"),
    (_blind, "new_zeros new_ones new_full new_empty zeros_like ones_like full_like empty_like"),
    (_item, "getitem"),
)
RULES = {name: rule for rule, names in _GROUPS for name in names.split()}
