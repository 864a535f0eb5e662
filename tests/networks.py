"""Well-known networks with their true windows and strides; channels are scaled by `width`."""

from collections.abc import Sequence

import torch
import torch.nn.functional as tf
from torch import Tensor, nn

from faltung.bench import networks
from faltung.bench.networks import Unit
from faltung.nn import MaxPool2d

VGG16 = networks.VGG16


class LeNet(nn.Sequential):
    """LeNet-5 (LeCun et al., 1998), with means as pools."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(),
            nn.Linear(84, 10),
        )  # fmt: skip


class AlexNet(nn.Module):
    """AlexNet (Krizhevsky et al., 2012); convolutions as in Araujo et al. (2019)."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        w = width
        self.features = nn.Sequential(
            nn.Conv2d(3, w, 11, 4), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(w, 2 * w, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(2 * w, 4 * w, 3, padding=1), nn.ReLU(),
            nn.Conv2d(4 * w, 4 * w, 3, padding=1), nn.ReLU(),
            nn.Conv2d(4 * w, 2 * w, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return the last maps, or logits."""
        return self.features(x)  # type: ignore[no-any-return]


class ResNet50(networks.ResNet50):
    """ResNet-50 as it is measured, or with `slim` as TensorFlow's Slim has it.

    Slim's strides are late and its pool pads by the rule SAME: those are the networks that Araujo
    et al. (2019) measured.
    """

    def __init__(self, width: int = 64, classes: int = 1000, *, slim: bool = False) -> None:
        super().__init__(width, classes, late=slim)
        self.maxpool = MaxPool2d(3, 2, "same" if slim else 1)


class Branches(nn.Module):
    """Branches of one input, put together; "max" and "avg" begin with a pool."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last maps, or logits."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Fork(nn.Module):
    """A trunk whose end splits in two, as at the coarsest stage of Inception v3."""

    def __init__(self, trunk: nn.Module, *ends: nn.Module) -> None:
        super().__init__()
        self.trunk, self.ends = trunk, Branches(*ends)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last maps, or logits."""
        return self.ends(self.trunk(x))  # type: ignore[no-any-return]


def _tall(inputs: int, outputs: int, size: int) -> Unit:
    return Unit(inputs, outputs, (size, 1), padding=(size // 2, 0))


def _wide(inputs: int, outputs: int, size: int) -> Unit:
    return Unit(inputs, outputs, (1, size), padding=(0, size // 2))


class InceptionV3(nn.Sequential):
    """Inception v3 (Szegedy et al., 2015), up to its last feature map, every layer of one width."""

    def __init__(self, width: int = 2) -> None:
        w = width
        stem = nn.Sequential(
            Unit(3, w, 3, stride=2), Unit(w, w, 3), Unit(w, w, 3, padding=1), nn.MaxPool2d(3, 2),
            Unit(w, w, 1), Unit(w, w, 3), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        five = [self._a(w if n == 0 else 4 * w, w) for n in range(3)]
        six = [self._c(6 * w if n == 0 else 4 * w, w) for n in range(4)]
        eight = [self._e(6 * w, w), self._e(6 * w, w)]
        super().__init__(stem, *five, self._b(4 * w, w), *six, self._d(4 * w, w), *eight)

    @staticmethod
    def _a(inputs: int, w: int) -> Branches:
        return Branches(
            Unit(inputs, w, 1),
            nn.Sequential(Unit(inputs, w, 1), Unit(w, w, 5, padding=2)),
            nn.Sequential(Unit(inputs, w, 1), Unit(w, w, 3, padding=1), Unit(w, w, 3, padding=1)),
            nn.Sequential(nn.AvgPool2d(3, 1, 1), Unit(inputs, w, 1)),
        )

    @staticmethod
    def _b(inputs: int, w: int) -> Branches:
        double = nn.Sequential(
            Unit(inputs, w, 1), Unit(w, w, 3, padding=1), Unit(w, w, 3, stride=2)
        )
        return Branches(Unit(inputs, w, 3, stride=2), double, nn.MaxPool2d(3, 2))

    @staticmethod
    def _c(inputs: int, w: int) -> Branches:
        return Branches(
            Unit(inputs, w, 1),
            nn.Sequential(Unit(inputs, w, 1), _wide(w, w, 7), _tall(w, w, 7)),
            nn.Sequential(
                Unit(inputs, w, 1), _tall(w, w, 7), _wide(w, w, 7), _tall(w, w, 7), _wide(w, w, 7)
            ),
            nn.Sequential(nn.AvgPool2d(3, 1, 1), Unit(inputs, w, 1)),
        )

    @staticmethod
    def _d(inputs: int, w: int) -> Branches:
        long = nn.Sequential(
            Unit(inputs, w, 1), _wide(w, w, 7), _tall(w, w, 7), Unit(w, w, 3, stride=2)
        )
        short = nn.Sequential(Unit(inputs, w, 1), Unit(w, w, 3, stride=2))
        return Branches(short, long, nn.MaxPool2d(3, 2))

    @staticmethod
    def _e(inputs: int, w: int) -> Branches:
        return Branches(
            Unit(inputs, w, 1),
            Fork(Unit(inputs, w, 1), _wide(w, w, 3), _tall(w, w, 3)),
            Fork(
                nn.Sequential(Unit(inputs, w, 1), Unit(w, w, 3, padding=1)),
                _wide(w, w, 3), _tall(w, w, 3),
            ),
            nn.Sequential(nn.AvgPool2d(3, 1, 1), Unit(inputs, w, 1)),
        )  # fmt: skip


class UNet(nn.Module):
    """U-Net (Ronneberger et al., 2015) with padding, every layer of one width, on one channel.

    `bilinear` enlarges without weights.
    """

    def __init__(self, width: int = 2, depth: int = 4, *, bilinear: bool = False) -> None:
        super().__init__()
        w = width
        self.first = self._double(1, w)
        self.down = nn.ModuleList(self._double(w, w) for _ in range(depth))
        self.up = nn.ModuleList(self._enlarge(w, bilinear) for _ in range(depth))
        self.merge = nn.ModuleList(self._double(2 * w, w) for _ in range(depth))
        self.last = nn.Conv2d(w, 2, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            Unit(inputs, outputs, 3, padding=1), Unit(outputs, outputs, 3, padding=1)
        )

    @staticmethod
    def _enlarge(channels: int, bilinear: bool) -> nn.Module:
        if bilinear:
            return nn.Upsample(scale_factor=2, mode="bilinear")
        return nn.ConvTranspose2d(channels, channels, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last maps, or logits."""
        maps = [self.first(x)]
        for block in self.down:
            maps.append(block(tf.max_pool2d(maps[-1], 2)))
        y = maps.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            y = merge(torch.cat([maps.pop(), up(y)], 1))
        return self.last(y)  # type: ignore[no-any-return]


class DeepLab(nn.Module):
    """A dilated network with an atrous pyramid and a global branch, as in DeepLab v3."""

    def __init__(self, width: int = 2, rates: Sequence[int] = (6, 12, 18)) -> None:
        super().__init__()
        w = width
        self.body = nn.Sequential(
            Unit(3, w, 7, stride=2, padding=3), nn.MaxPool2d(3, 2, 1),
            Unit(w, w, 3, padding=1), Unit(w, w, 3, stride=2, padding=1),
            Unit(w, w, 3, padding=2, dilation=2), Unit(w, w, 3, padding=4, dilation=4),
        )  # fmt: skip
        self.pyramid = Branches(
            Unit(w, w, 1), *(Unit(w, w, 3, padding=rate, dilation=rate) for rate in rates)
        )
        self.all = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(w, w, 1), nn.ReLU())
        self.low = nn.Conv2d((1 + len(rates)) * w, w, 1)
        self.head = nn.Conv2d(2 * w, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the last maps, or logits."""
        y = self.body(x)
        whole = tf.interpolate(self.all(y), y.shape[2:], mode="bilinear", align_corners=False)
        z = self.head(torch.cat([self.low(self.pyramid(y)), whole], 1))
        return tf.interpolate(z, x.shape[2:], mode="bilinear", align_corners=False)


class DenseNet(nn.Module):
    """Two blocks whose layers read all before them (Huang et al., 2017)."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        w = width
        self.stem = Unit(3, w, 7, stride=2, padding=3)
        self.one = nn.ModuleList(Unit((n + 1) * w, w, 3, padding=1) for n in range(3))
        self.turn = nn.Sequential(nn.Conv2d(4 * w, w, 1), nn.AvgPool2d(2))
        self.two = nn.ModuleList(Unit((n + 1) * w, w, 3, padding=1) for n in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last maps, or logits."""
        y = self.stem(x)
        for layer in self.one:
            y = torch.cat([y, layer(y)], 1)
        y = self.turn(y)
        for layer in self.two:
            y = torch.cat([y, layer(y)], 1)
        return y  # type: ignore[no-any-return]
