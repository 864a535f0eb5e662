"""The border with torch: operators registered with `torch.library` under `torch.ops.faltung`.

Every operator has a schema, an implementation for the CPU (through the seam "ours or theirs"), one
for all other devices (torch's own operators), a fake that knows shapes, and a derivative that is
made of these operators again, so that it can be differentiated as often as wanted.

Arguments are taken as correct: callers check them (`faltung.functional`).
"""

from faltung.ops import ours, quick
from faltung.ops.convolution import conv2d, conv2d_input_gradient, conv2d_weight_gradient
from faltung.ops.local import local2d
from faltung.ops.pooling import avg_pool2d, max_pool2d, min_pool2d
from faltung.ops.seam import Choice, choose

__all__ = [
    "Choice",
    "avg_pool2d",
    "choose",
    "conv2d",
    "conv2d_input_gradient",
    "conv2d_weight_gradient",
    "local2d",
    "max_pool2d",
    "min_pool2d",
    "ours",
    "quick",
]
