"""The locally connected operation: a window of its own weights at every place."""

from typing import Any

import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung.geometry import Window
from faltung.ops.registry import LIBRARY

LIBRARY.define(
    "local2d(Tensor input, Tensor weight, Tensor? bias, SymInt[2] stride, SymInt[4] padding,"
    " SymInt[2] dilation) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)


def _local2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
) -> Tensor:
    top, bottom, left, right = padding
    patches = tf.pad(x, (left, right, top, bottom))
    for axis in (0, 1):
        window = Window(w.shape[4 + axis], stride[axis], dilation[axis])
        spans = patches.unfold(2 + axis, window.extent, window.stride)
        patches = spans[..., :: window.dilation]
    y = torch.einsum("ncyxrs,yxkcrs->nkyx", patches, w)
    return y if bias is None else y + bias


LIBRARY.impl("local2d", _local2d, "CompositeImplicitAutograd")
local2d: Any = torch.ops.faltung.local2d.default
