"""What one call costs: multiply-adds, operations, bytes, and what denser layers would need.

MACs are the products that convolutions, linear layers and products of matrices sum, zeros of the
padding included. FLOPs count every operation on a number: two for each MAC and one for each bias
that is added; one for each element that a pool compares or adds; one for each element that an
element-by-element operator returns, whatever the function; two for each element of a batch
normalisation with given statistics, five of one that computes them; five of a softmax; one for each
element that is summed up or searched; two for each tap of an interpolation. What only moves or
renames elements costs none. Bytes: each operand, parameter and result once; views move none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from faltung.analysis.calls import CONVOLUTIONS, TRANSPOSED, Call, bytes_of, shape_of
from faltung.analysis.reading import is_reading, reads

INNER = ("linear", "matmul", "mm", "bmm", "dot")
SUMMED = ("addmm", "baddbmm")
WITH_STATISTICS = (
    "instance_norm", "group_norm", "layer_norm", "rms_norm", "native_group_norm",
    "native_layer_norm", "_native_batch_norm_legit",
)  # fmt: skip
GIVEN_STATISTICS = ("_native_batch_norm_legit_no_training",)
BATCH_NORMS = ("batch_norm", "native_batch_norm", "cudnn_batch_norm")
SOFTMAX = ("softmax", "_softmax", "log_softmax", "_log_softmax")
REDUCED = (
    "mean", "sum", "amax", "amin", "max", "min", "std", "var", "norm", "prod", "logsumexp",
    "argmax", "argmin", "linalg_vector_norm", "cumsum", "cumprod",
)  # fmt: skip
FREE = (
    "clone", "copy", "cat", "stack", "dropout", "feature_dropout", "alpha_dropout", "_to_copy",
    "to", "repeat", "index_select", "getitem", "channel_shuffle", "new_zeros", "new_ones",
    "new_full", "new_empty", "zeros_like", "ones_like", "full_like", "empty_like",
)  # fmt: skip
TAPS = {"nearest": 0, "bilinear": 4, "bicubic": 16}


@dataclass(frozen=True)
class Price:
    """What one call costs.

    Attributes:
        macs: Products that are summed.
        flops: Operations on numbers; the module says which count.
        bytes: Bytes read and written, each tensor once.
    """

    macs: int
    flops: int
    bytes: int


def price(call: Call) -> Price:
    """Return what a call costs."""
    macs, elements = _macs(call), prod(call.shape)
    if macs:
        bias = call.get("bias") is not None or call.name in SUMMED
        flops = 2 * macs + (elements if bias else 0)
    else:
        flops = _flops(call, elements)
    moved = 0 if call.views else bytes_of(call.node) + sum(bytes_of(n) for n in call.operands())
    return Price(macs, flops, moved)


def _macs(call: Call) -> int:
    elements, read = prod(call.shape), prod(shape_of(call.x))
    transposed = call.name in TRANSPOSED or bool(call.get("transposed"))
    counted: tuple[tuple[bool, Callable[[], int]], ...] = (
        (transposed, lambda: read * prod(shape_of(call.get("weight"))[1:])),
        (call.name in CONVOLUTIONS, lambda: elements * prod(shape_of(call.get("weight"))[1:])),
        (call.name == "local2d", lambda: elements * prod(shape_of(call.get("weight"))[3:])),
        (call.name in INNER, lambda: elements * shape_of(call.x)[-1]),
        (call.name in SUMMED, lambda: elements * shape_of(call.get("mat1", "batch1"))[-1]),
        (call.name == "scaled_dot_product_attention", lambda: _attention(call)),
    )
    return next((count() for applies, count in counted if applies), 0)


def _attention(call: Call) -> int:
    query, key = shape_of(call.get("query")), shape_of(call.get("key"))
    return prod(query[:-1]) * key[-2] * (query[-1] + call.shape[-1])


def _flops(call: Call, elements: int) -> int:
    counted: tuple[tuple[bool, Callable[[], int]], ...] = (
        (call.slide is not None, lambda: elements * _taps(call)),
        (call.name.startswith("adaptive"), lambda: _adaptive(call)),
        (call.name in REDUCED, lambda: prod(shape_of(call.x))),
        (call.name in BATCH_NORMS, lambda: elements * (5 if call.get("training") else 2)),
        (call.name in GIVEN_STATISTICS, lambda: 2 * elements),
        (call.name in WITH_STATISTICS or call.name in SOFTMAX, lambda: 5 * elements),
        (call.name.startswith(("upsample", "_upsample")), lambda: 2 * elements * _weights(call)),
        (is_reading(call), lambda: 0),
        (call.pointwise or call.name == "glu", lambda: elements),
    )
    return next((count() for applies, count in counted if applies), 0)


def _taps(call: Call) -> int:
    return prod(window.size for window in call.slide.windows) if call.slide else 0


def _adaptive(call: Call) -> int:
    """Return how many elements the windows of an adaptive pool hold in all."""
    rank = len(shape_of(call.x))
    rows, columns = (
        sum(len(cells) for cells in found.cells) if (found := reads(call, rank + at)) else 0
        for at in (-2, -1)
    )
    return prod(shape_of(call.x)[:-2]) * rows * columns


def _weights(call: Call) -> int:
    return next((count for kind, count in TAPS.items() if kind in call.name), 0)


def fully_connected(call: Call) -> int | None:
    """Return how many parameters a fully connected layer of the same sizes would need.

    None for all but convolutions and linear layers. The batch is left out; biases count where the
    layer has one.
    """
    if not _weighted(call):
        return None
    inputs, outputs = prod(shape_of(call.x)[1:]), prod(call.shape[1:])
    return inputs * outputs + (outputs if call.get("bias") is not None else 0)


def locally_connected(call: Call) -> int | None:
    """Return how many parameters the same layer would need if no place shared its weights.

    None for all but convolutions over images. Biases count where the layer has one.
    """
    if call.slide is None or call.slide.kind == "pool":
        return None
    places = prod(call.shape[-2:])
    kernel = prod(shape_of(call.get("weight"))[-4:])
    if call.slide.kind == "transposed":
        places = prod(shape_of(call.x)[-2:])
    biases = prod(call.shape[-3:]) if call.get("bias") is not None else 0
    return places * kernel + biases


def _weighted(call: Call) -> bool:
    windowed = call.slide is not None and call.slide.kind != "pool"
    return (windowed or call.name == "linear") and len(call.shape) > 1


def counted(call: Call) -> bool:
    """Say whether there is a rule for what a call costs; views and moves cost nothing."""
    free = call.views or call.name in FREE
    return free or is_reading(call) or bool(price(call).flops)
