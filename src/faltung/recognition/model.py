"""The network that reads characters: a few convolutions of our own, pools between them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from faltung import nn
from faltung.errors import ConfigError


class Reader(torch.nn.Module):
    """Convolutions in stages, each halving the image but the last, and one linear layer.

    Args:
        classes: Number of classes.
        widths: Output channels of the convolutions of each stage.
        size: Height and width of the input images.
        first_kernel: Window of the first convolution; the others are 3x3.

    Raises:
        ConfigError: There are more stages than the image can be halved.
    """

    def __init__(
        self, classes: int, widths: Sequence[Sequence[int]], size: int, first_kernel: int = 3
    ) -> None:
        super().__init__()
        if size >> (len(widths) - 1) < 1:
            raise ConfigError(
                f"widths has {len(widths)} stages, but images of {size} x {size} can be halved "
                f"only {size.bit_length() - 1} times: use fewer stages"
            )
        self.body = torch.nn.Sequential()
        channels, kernel = 1, first_kernel
        for number, stage in enumerate(widths):
            for place, width in enumerate(stage):
                self.body.append(nn.Conv2d(channels, width, kernel, padding="same", bias=False))
                if place == len(stage) - 1 and number < len(widths) - 1:
                    self.body.append(nn.MaxPool2d(2))  # before norm and ReLU: a quarter of the work
                    size //= 2
                self.body.extend([torch.nn.BatchNorm2d(width), torch.nn.ReLU()])
                channels, kernel = width, 3
        self.head = torch.nn.Linear(channels * size * size, classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x_n1hw: Tensor) -> Tensor:
        """Return logits (N, classes) for normalised images (N, 1, size, size)."""
        y: Tensor = self.head(self.body(x_n1hw).flatten(1))
        return y

    def parameter_count(self) -> int:
        """Return how many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters())
