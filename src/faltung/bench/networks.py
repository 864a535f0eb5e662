"""Known networks with their published sizes and random weights; `width` makes narrow ones of them.

Names of parts are torchvision's, where it has the network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as tf
from torch import Tensor, nn


class LeNet5(nn.Sequential):
    """LeNet-5 (LeCun et al., 1998) as it is built today: all maps joined, ReLU, maxima."""

    def __init__(self, width: int = 6, classes: int = 10) -> None:
        wide = 16 * width // 6
        super().__init__(
            nn.Conv2d(1, width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, wide, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(25 * wide, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
            nn.Linear(84, classes),
        )  # fmt: skip


class VGG16(nn.Module):
    """VGG-16 (Simonyan and Zisserman, 2014), configuration D."""

    def __init__(self, width: int = 64, classes: int = 1000, hidden: int | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage, count in enumerate((2, 2, 3, 3, 3)):
            wide = width * min(2**stage, 8)
            for _ in range(count):
                layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.ReLU(inplace=True)]
                channels = wide
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(7)
        hidden = 64 * width if hidden is None else hidden
        self.classifier = nn.Sequential(
            nn.Linear(channels * 49, hidden), nn.ReLU(), nn.Dropout(),
            nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(), nn.Linear(hidden, classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.classifier(self.pool(self.features(x)).flatten(1))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut; the stride is in the 3x3."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or channels != 4 * width:
            shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of the block."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)  # type: ignore[no-any-return]


class ResNet50(nn.Module):
    """ResNet-50 (He et al., 2015).

    Its strides are in the 3x3 of the first block of a stage ("v1.5"), or with `late` in that of
    the last block, as in TensorFlow's Slim.
    """

    def __init__(self, width: int = 64, classes: int = 1000, *, late: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool: nn.Module = nn.MaxPool2d(3, 2, 1)
        channels = width
        for number, count in enumerate((3, 4, 6, 3)):
            blocks = []
            for place in range(count):
                strided = number < 3 and place == count - 1 if late else number and not place
                stride = 2 if strided else 1
                blocks.append(Bottleneck(channels, width * 2**number, stride))
                channels = 4 * width * 2**number
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))  # type: ignore[no-any-return]


class Unit(nn.Sequential):
    """Convolution, batch normalisation, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        activation: type[nn.ReLU | nn.ReLU6] = nn.ReLU,
        **rest: object,
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, bias=False, **rest)  # type: ignore[arg-type]
        super().__init__(conv, nn.BatchNorm2d(outputs), activation(inplace=True))


class Inverted(nn.Module):
    """An inverted residual: 1x1 to more channels, 3x3 on each alone, 1x1 to fewer, linear."""

    def __init__(self, inputs: int, outputs: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = factor * inputs
        layers: list[nn.Module] = [Unit(inputs, wide, 1, nn.ReLU6)] if factor > 1 else []
        self.conv = nn.Sequential(
            *layers,
            Unit(wide, wide, 3, nn.ReLU6, stride=stride, padding=1, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps of the block."""
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """MobileNet v2 (Sandler et al., 2018)."""

    STAGES = (  # factor, channels at width 32, blocks, stride of the first
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, width: int = 32, classes: int = 1000) -> None:
        super().__init__()
        channels = width
        layers: list[nn.Module] = [Unit(3, width, 3, nn.ReLU6, stride=2, padding=1)]
        for factor, usual, count, stride in self.STAGES:
            for place in range(count):
                outputs = usual * width // 32
                layers.append(Inverted(channels, outputs, 1 if place else stride, factor))
                channels = outputs
        layers.append(Unit(channels, 40 * width, 1, nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(40 * width, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        y = tf.adaptive_avg_pool2d(self.features(x), 1)
        return self.classifier(torch.flatten(y, 1))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """U-Net (Ronneberger et al., 2015) with padding and batch norms, as Buda et al. (2019)."""

    def __init__(self, width: int = 32, depth: int = 4) -> None:
        super().__init__()
        wide = [width * 2**level for level in range(depth + 1)]
        self.first = self._double(3, width)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(self._double(w, 2 * w) for w in wide[:-1])
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in wide[-2::-1])
        self.merge = nn.ModuleList(self._double(2 * w, w) for w in wide[-2::-1])
        self.last = nn.Conv2d(width, 1, 1)

    @staticmethod
    def _double(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            Unit(inputs, outputs, 3, padding=1), Unit(outputs, outputs, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of logits."""
        maps = [self.first(x)]
        for block in self.down:
            maps.append(block(self.pool(maps[-1])))
        y = maps.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            y = merge(torch.cat([maps.pop(), up(y)], 1))
        return self.last(y)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Network:
    """A network that is built when it is needed.

    Attributes:
        build: Makes the module, with any weights.
        shape: (C, H, W) of an image.
    """

    build: Callable[[], nn.Module]
    shape: tuple[int, int, int]


NETWORKS = {
    "LeNet-5": Network(LeNet5, (1, 28, 28)),
    "ResNet-50": Network(ResNet50, (3, 224, 224)),
    "VGG-16": Network(VGG16, (3, 224, 224)),
    "MobileNet-v2": Network(MobileNetV2, (3, 224, 224)),
    "U-Net": Network(UNet, (3, 256, 256)),
}


def built(network: Network, seed: int = 0) -> nn.Module:
    """Return a network in eval mode, with random weights under which no map fades or explodes.

    Weights of convolutions are drawn as in He et al. (2015), all others as torch does. The
    process's own generator stays where it is.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = network.build()
        for part in model.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
    return model.eval()
