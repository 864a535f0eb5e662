"""A kernel that is being learned from one picture of edges, a few steps at a time.

The example: a 6x8 image of ones with a stripe of zeros, what the kernel [1, -1] answers, and a
convolutional layer of the same window that starts from chance and descends the squared error.
Nothing is kept between requests: the page sends the kernel it has and gets it back some steps on.

Source: A. Zhang et al., "Dive into Deep Learning" (2023), section 7.2.4.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from faltung import functional as F
from faltung import nn
from faltung.errors import ArgumentError, TrainingError
from faltung.lab.fields import Asked, Number, table

STEPS = 200  # of one request

Pair = Annotated[list[Number], Field(min_length=2, max_length=2)]


class LearnAsked(Asked):
    """Some steps of learning.

    Attributes:
        kernel: The kernel to go on from, or None to draw one at random.
        seed: Where the random kernel comes from.
        rate: Learning rate.
        steps: How many steps, at most 200; 0 only looks.
        flip: Learn with strict convolution.
    """

    kernel: Pair | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    rate: float = 0.03
    steps: Annotated[int, Field(ge=0, le=STEPS)] = 1
    flip: bool = False


@dataclass(frozen=True)
class Learned:
    """Where the steps led.

    Attributes:
        losses: Sum of the squared errors before each step, and after the last.
        kernels: The kernel before each step, and after the last.
        gradient: Gradient of the loss with respect to the last kernel.
        image: The picture (6, 8).
        target: What [1, -1] answers, (6, 7).
        output: What the last kernel answers, (6, 7).
    """

    losses: list[float]
    kernels: list[list[float]]
    gradient: list[float]
    image: list[list[float]]
    target: list[list[float]]
    output: list[list[float]]


def edge_example() -> tuple[Tensor, Tensor]:
    """Return the picture of edges (1, 1, 6, 8), and what [1, -1] answers, (1, 1, 6, 7)."""
    x = torch.ones(1, 1, 6, 8)
    x[..., 2:6] = 0
    return x, F.conv2d(x, torch.tensor([[[[1.0, -1.0]]]]))


def learn(asked: LearnAsked) -> Learned:
    """Go some steps down the gradient.

    Raises:
        ArgumentError: The rate is out of range.
        TrainingError: The loss grew beyond all numbers.
    """
    if not 0 < asked.rate <= 1:
        raise ArgumentError(
            f"rate is {asked.rate}: it must be above 0 and at most 1; 0.03 learns in about ten "
            f"steps"
        )
    x, target = edge_example()
    layer = _layer(asked)
    losses, kernels = [], []
    for step in range(asked.steps + 1):
        output = layer(x)
        loss = (output - target).square().sum()
        (gradient,) = torch.autograd.grad(loss, layer.weight)
        losses.append(_finite(loss.item(), asked.rate))
        kernels.append(layer.weight.flatten().tolist())
        if step < asked.steps:
            with torch.no_grad():
                layer.weight -= asked.rate * gradient
    pictures = (t.detach()[0, 0].tolist() for t in (x, target, output))
    return Learned(losses, kernels, gradient.flatten().tolist(), *pictures)


def _layer(asked: LearnAsked) -> nn.Conv2d:
    """Return a layer with the kernel that was sent, or with one that only the seed decides."""
    layer = nn.Conv2d(1, 1, (1, 2), bias=False, flip=asked.flip)
    with torch.no_grad():
        if asked.kernel is None:
            chance = torch.Generator().manual_seed(asked.seed)
            bound = 1 / math.sqrt(2)  # torch's own for a window of two taps
            layer.weight.uniform_(-bound, bound, generator=chance)
        else:
            layer.weight.copy_(table("kernel", asked.kernel).reshape(1, 1, 1, 2))
    return layer


def _finite(loss: float, rate: float) -> float:
    if not loss < 1e18:
        raise TrainingError(
            f"the loss is {loss:.3g}: a rate of {rate:g} is too large, so that every step leads "
            f"further away; use a smaller rate, such as 0.03"
        )
    return loss
