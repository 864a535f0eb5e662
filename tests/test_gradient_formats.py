"""Gradients lie in memory as torch's do, whatever the format of the gradient that comes in."""

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor

import faltung
from convolving import whole
from faltung import functional as F

WAYS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "functions": (F, nullcontext),
    "switch": (tf, faltung.enabled),
}
LAYERS: dict[str, tuple[tuple[int, ...], Callable[[Any, Tensor, Tensor], Tensor]]] = {
    "conv2d": ((4, 6, 3, 3), lambda f, x, w: f.conv2d(x, w, None, 2)),
    "conv_transpose2d": ((6, 4, 3, 3), lambda f, x, w: f.conv_transpose2d(x, w, None, 2)),
    "max_pool2d": ((1, 1, 1, 1), lambda f, x, w: f.max_pool2d(x * w, 2)),
    "avg_pool2d": ((1, 1, 1, 1), lambda f, x, w: f.avg_pool2d(x * w, 2)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("last", [*itertools.product([False, True], [False, True], "NCE")])
def test_gradients_have_the_memory_format_of_operands(
    way: str, name: str, last: tuple[bool, bool, str]
) -> None:
    """The gradient that comes in is dense ("N"), channels_last ("C"), or one number ("E")."""
    shape, layer = LAYERS[name]

    def gradients(functions: Any, context: Callable[[], Any]) -> list[list[Tensor]]:
        x, w = whole(0, (2, 6, 9, 8)), whole(0, shape)
        leaves = [
            t.contiguous(memory_format=torch.channels_last if end else torch.contiguous_format)
            for t, end in zip((x, w), last[:2], strict=True)
        ]
        for leaf in leaves:
            leaf.requires_grad_()
        found = []
        with context():
            for _ in range(3):
                y = layer(functions, *leaves)
                dy = torch.full((), 2.0).expand(y.shape)
                if last[2] != "E":
                    form = torch.channels_last if last[2] == "C" else torch.contiguous_format
                    dy = dy.contiguous(memory_format=form)
                found.append([*torch.autograd.grad(y, leaves, dy)])
        return found

    (truth, *_) = gradients(tf, nullcontext)
    for found in gradients(*WAYS[way]):
        for ours, theirs in zip(found, truth, strict=True):
            assert torch.equal(ours, theirs)
            assert ours.stride() == theirs.stride()
