"""The border with torch: operators registered with `torch.library` under `torch.ops.faltung`.

Every operator has a schema, an implementation for the CPU (through the seam "ours or theirs"), one
for all other devices (torch's own operators), a fake that knows shapes, and a derivative that is
made of these operators again, so that it can be differentiated as often as wanted.

Arguments are taken as correct: callers check them (`faltung.functional`).
"""

from functools import partial

from faltung.ops import ours, ours_pooling, quick
from faltung.ops.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from faltung.ops.fused import ACTIVATIONS, POOLS, conv2d_fused
from faltung.ops.local import local2d
from faltung.ops.pooling import (
    avg_pool2d,
    max_pool2d,
    max_pool2d_values,
    min_pool2d,
    min_pool2d_values,
)
from faltung.ops.seam import Choice, choose, set_ours

__all__ = [
    "ACTIVATIONS",
    "POOLS",
    "Choice",
    "avg_pool2d",
    "choose",
    "conv2d",
    "conv2d_fused",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "local2d",
    "max_pool2d",
    "max_pool2d_values",
    "min_pool2d",
    "min_pool2d_values",
    "ours",
    "quick",
]

set_ours("conv2d", ours.conv2d)
set_ours("conv2d_input_gradient", ours.conv2d_input_gradient)
set_ours("conv2d_weight_gradient", ours.conv2d_weight_gradient)
for _operation in ("max", "min"):
    set_ours(f"{_operation}_pool2d", partial(ours_pooling.extreme, _operation))
    set_ours(f"{_operation}_pool2d_values", partial(ours_pooling.extreme_values, _operation))
set_ours("extreme_pool2d_gradient", ours_pooling.extreme_gradient)
set_ours("avg_pool2d", ours_pooling.avg_pool2d)
set_ours("avg_pool2d_gradient", ours_pooling.avg_pool2d_gradient)
