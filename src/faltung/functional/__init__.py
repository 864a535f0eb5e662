"""Windowed operations on tensors, with torch's arguments and more kinds of padding.

Every `padding` argument takes:

| value | means |
|---|---|
| `p` | p elements on every side |
| `(h, w)` | h above and below, w left and right |
| `((top, bottom), (left, right))` | each side on its own |
| `"valid"` | none |
| `"same"` | output size `ceil(n / stride)`, an odd element at the end (torch's rule) |
| `"same_upper"`, `"same_lower"` | the same size, an odd element at the end, at the start |
| `"full"` | `extent - 1` on every side: every overlap of window and input counts |

Arguments are checked before anything is computed; what does not fit raises a
`faltung.errors.FaltungError` that names the argument, its value, the rule and the remedy.
"""

from faltung.functional.convolution import conv2d, conv_transpose2d, local2d
from faltung.functional.fused import conv2d_fused
from faltung.functional.planes import convolve2d, correlate2d
from faltung.functional.pooling import avg_pool2d, max_pool2d, min_pool2d

__all__ = [
    "avg_pool2d",
    "conv2d",
    "conv2d_fused",
    "conv_transpose2d",
    "convolve2d",
    "correlate2d",
    "local2d",
    "max_pool2d",
    "min_pool2d",
]
