"""Small models, each with one way of moving or joining what it sees."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as tf
from torch import Tensor, nn

from faltung import functional as F
from faltung import nn as ours


class Does(nn.Module):
    """A model whose forward is a function of (model, x), with layers given by name."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **layers: nn.Module) -> None:
        super().__init__()
        self.does = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Any:
        """Do it."""
        return self.does(self, x)


def conv(kernel: int = 3, inputs: int = 4, outputs: int = 4, **rest: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, **rest)


def _shuffled(m: Any, x: Tensor) -> Tensor:
    y = m.a(x)
    n, c, h, w = y.shape
    y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
    return m.b(y)  # type: ignore[no-any-return]


def _attention(m: Any, x: Tensor) -> Any:
    y = m.a(x)
    tokens = y.flatten(2).transpose(1, 2)
    return tf.scaled_dot_product_attention(tokens, tokens, tokens)


def _focus(m: Any, x: Tensor) -> Tensor:
    parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
    return m.a(torch.cat(parts, 1))  # type: ignore[no-any-return]


def _written(m: Any, x: Tensor) -> Tensor:
    y = m.a(x)
    y[:, :2] = tf.max_pool2d(y, 3, 1, 1)[:, :2]
    y.mul_(2)
    return m.b(y)  # type: ignore[no-any-return]


def _cropped(m: Any, x: Tensor) -> Tensor:
    y = m.b(m.a(x))
    return torch.cat([y, x[..., 2:-2, 2:-2]], 1)


def _gated(m: Any, x: Tensor) -> Any:
    y = m.a(x)
    return y * torch.sigmoid(m.b(y.mean((2, 3), keepdim=True)))


def _channels_last(m: Any, x: Tensor) -> Any:
    y = m.a(x).permute(0, 2, 3, 1)
    y = m.d(tf.gelu(m.c(m.n(y))))
    return x + y.permute(0, 3, 1, 2)


def _halves(m: Any, x: Tensor) -> Any:
    left, right = m.a(x).chunk(2, 1)
    top, bottom = m.b(left).split([10, 14], 2)
    return right + torch.cat([top, bottom], 2)


def _without_gradients(m: Any, x: Tensor) -> Any:
    with torch.no_grad():
        y = m.a(x)
    return m.b(y)


CASES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "local, reflected, strict, minimum": (
        nn.Sequential(
            ours.LocallyConnected2d(1, 2, (20, 18), 3, padding=1),
            ours.Conv2d(2, 2, 5, padding=2, padding_mode="reflect"),
            ours.Conv2d(2, 2, 4, padding="same", flip=True),
            ours.Conv2d(2, 2, 4, stride=3, padding="same_lower"),
            ours.MinPool2d(3, 1, padding=((1, 0), (0, 2))),
            ours.MaxPool2d(2, padding="full"),
        ),
        (1, 20, 18),
    ),
    "circular and replicated": (
        nn.Sequential(
            conv(5, 1, padding=2, padding_mode="circular"),
            conv(5, padding=2, padding_mode="replicate"),
        ),
        (1, 14, 15),
    ),
    "dilated pools, ceil": (
        nn.Sequential(
            nn.MaxPool2d(3, 2, 1, dilation=2), nn.AvgPool2d(2, 2, ceil_mode=True), conv(3, 1),
        ),
        (1, 31, 26),
    ),
    "transposed with gaps": (
        nn.Sequential(conv(3, 1, stride=2), nn.ConvTranspose2d(4, 4, 2, 3), conv(3)),
        (1, 24, 21),
    ),
    "transposed, padded, dilated": (
        nn.Sequential(
            conv(3, 1, stride=4),
            nn.ConvTranspose2d(4, 4, 5, 2, padding=1, output_padding=1),
            nn.ConvTranspose2d(4, 4, 3, 2, padding=2, dilation=2),
            ours.ConvTranspose2d(4, 2, 4, 2, padding="same_lower"),
        ),
        (1, 34, 29),
    ),
    "nearest": (
        nn.Sequential(conv(3, 1, stride=2), nn.Upsample(scale_factor=2), conv(3)), (1, 24, 21),
    ),
    "nearest to an odd size": (
        nn.Sequential(conv(3, 1, stride=2), nn.Upsample((17, 29)), conv(3)), (1, 24, 21),
    ),
    "bilinear, aligned": (
        nn.Sequential(
            conv(3, 1, stride=2), nn.UpsamplingBilinear2d(scale_factor=2), conv(3)
        ),
        (1, 24, 21),
    ),
    "bicubic": (
        nn.Sequential(conv(3, 1, stride=4), nn.Upsample(scale_factor=4, mode="bicubic"), conv()),
        (1, 64, 60),
    ),
    "bilinear, smaller": (
        Does(lambda m, x: m.a(tf.interpolate(x, scale_factor=0.5, mode="bilinear")), a=conv(3, 1)),
        (1, 24, 20),
    ),
    "antialiased": (
        Does(
            lambda m, x: m.a(tf.interpolate(x, (9, 8), mode="bilinear", antialias=True)),
            a=conv(3, 1),
        ),
        (1, 24, 20),
    ),
    "pixels shuffled": (
        nn.Sequential(conv(3, 1, 4), nn.PixelUnshuffle(2), conv(3, 16, 16), nn.PixelShuffle(4)),
        (1, 26, 22),
    ),
    "adaptive": (
        nn.Sequential(conv(3, 1), nn.AdaptiveAvgPool2d((5, 4)), conv(2)), (1, 24, 21),
    ),
    "adaptive maximum": (
        nn.Sequential(conv(3, 1), nn.AdaptiveMaxPool2d((11, 1)), conv((2, 1))),  # type: ignore[arg-type]
        (1, 24, 21),
    ),
    "channels shuffled": (
        Does(_shuffled, a=conv(3, 1), b=conv(3, groups=2)), (1, 12, 11),
    ),
    "attention": (Does(_attention, a=conv(3, 1, stride=4)), (1, 17, 15)),
    "focus": (Does(_focus, a=conv(3, 4)), (1, 20, 18)),
    "written in place": (Does(_written, a=conv(3, 1), b=conv(3)), (1, 16, 15)),
    "cropped and joined": (Does(_cropped, a=conv(3, 1), b=conv(3)), (1, 16, 15)),
    "gated by a global pool": (Does(_gated, a=conv(3, 1), b=conv(1)), (1, 16, 15)),
    "channels last": (
        Does(
            _channels_last, a=conv(7, 4, padding=3, groups=4), n=nn.LayerNorm(4),
            c=nn.Linear(4, 8), d=nn.Linear(8, 4),
        ),
        (4, 16, 15),
    ),
    "split and put together": (
        Does(_halves, a=conv(3, 1), b=conv(3, 2, 2, padding=1)), (1, 26, 22),
    ),
    "rolled and turned": (
        Does(lambda m, x: m.b(torch.roll(m.a(x), (2, 3), (2, 3)).flip(3)), a=conv(3, 1), b=conv(3)),
        (1, 16, 15),
    ),
    "padded by hand": (
        Does(lambda m, x: m.a(tf.pad(x, (0, 3, 2, -1))), a=conv(3, 1, stride=2)), (1, 16, 15),
    ),
    "reduced to rows": (
        Does(lambda m, x: m.a(x).mean(3).softmax(1), a=conv(3, 1)), (1, 16, 15),
    ),
    "softmax over columns": (
        Does(lambda m, x: m.a(x).softmax(3), a=conv(3, 1)), (1, 16, 15),
    ),
    "stacked and unbound": (
        Does(lambda m, x: torch.stack(m.a(x).unbind(1)[:2], 1).amax(1, keepdim=True), a=conv(3, 1)),
        (1, 16, 15),
    ),
    "misaligned branches": (
        Does(lambda m, x: m.a(x)[..., :7, :6] + m.b(x)[..., :7, :6],
             a=conv(3, 1, stride=2), b=conv(3, 1)),
        (1, 18, 15),
    ),
    "weights normalised": (
        nn.Sequential(nn.utils.parametrizations.weight_norm(conv(3, 1)), nn.GroupNorm(2, 4)),
        (1, 12, 11),
    ),
    "functional": (
        Does(
            lambda m, x: F.max_pool2d(F.conv2d(x, m.a.weight, padding="full"), 3, 2), a=conv(3, 1)
        ),
        (1, 12, 11),
    ),
    "one layer twice": (Does(lambda m, x: m.a(tf.relu_(m.a(x))), a=conv(3)), (4, 12, 11)),
    "responses normalised": (
        nn.Sequential(conv(3, 1), nn.LocalResponseNorm(3), nn.MaxPool2d(2)), (1, 12, 11),
    ),
    "three dimensions": (
        Does(lambda m, x: m.b(m.a(x.unsqueeze(2).repeat(1, 1, 4, 1, 1))).flatten(1, 2),
             a=nn.Conv3d(1, 2, (3, 2, 4), padding=(1, 0, 2)), b=nn.AvgPool3d(2, (1, 2, 3))),
        (1, 12, 11),
    ),
    "unfolded": (
        Does(lambda m, x: m.a(x).unfold(2, 4, 3).unfold(3, 3, 2).amax((4, 5)), a=conv(3, 1)),
        (1, 16, 15),
    ),
    "products along an axis": (
        Does(
            lambda m, x: torch.matmul(m.a(x), torch.ones(9, 5)) + torch.einsum(
                "nchw,wv,co->nohv", m.a(x), torch.ones(9, 5), torch.ones(4, 4)
            ),
            a=conv(3, 1),
        ),
        (1, 12, 11),
    ),
    "picked, repeated, gated": (
        Does(
            lambda m, x: tf.glu(
                m.a(x).index_select(1, torch.tensor([3, 0])).repeat(1, 2, 1, 2), 1
            ).maximum(torch.max(x.repeat(1, 1, 1, 2), torch.zeros(18))),
            a=conv(3, 1, padding=1),
        ),
        (1, 12, 9),
    ),
    "graphs within": (Does(_without_gradients, a=conv(3, 1), b=conv(3)), (1, 12, 11)),
    "dense": (nn.Sequential(nn.Flatten(), nn.Linear(30, 4), nn.ReLU()), (1, 5, 6)),
}  # fmt: skip
