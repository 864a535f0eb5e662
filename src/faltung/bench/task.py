"""What a candidate is asked to compute, and how far its answer is from the exact one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from faltung.bench.layer import Layer

Parts = tuple[Tensor, ...]


@dataclass(frozen=True)
class Operands:
    """The tensors of a layer.

    Attributes:
        x: Input (N, C, H, W).
        w: Weight as torch has it for this kind of layer; (0,) for a pool.
        b: Bias (K,); (0,) for a pool.
        dy: Gradient by the output (N, K, Y, X).
    """

    x: Tensor
    w: Tensor
    b: Tensor
    dy: Tensor

    def in_format(self, layout: torch.memory_format) -> "Operands":
        """Return the same elements in another memory format."""
        w = self.w.contiguous(memory_format=layout) if self.w.dim() == 4 else self.w
        x, dy = (t.contiguous(memory_format=layout) for t in (self.x, self.dy))
        return Operands(x, w, self.b, dy)

    def double(self) -> "Operands":
        """Return the same elements in float64."""
        return Operands(self.x.double(), self.w.double(), self.b.double(), self.dy.double())


@dataclass(frozen=True)
class Task:
    """A layer, a direction ("forward", "input" or "weight") and tensors in NCHW."""

    layer: Layer
    direction: str
    operands: Operands

    @property
    def short(self) -> bool:
        """Whether the tensors are bfloat16, not float32."""
        return self.operands.x.dtype == torch.bfloat16


@dataclass(frozen=True)
class Prepared:
    """A candidate that is ready to be timed.

    Attributes:
        call: Computes once, and returns the result in the candidate's own form.
        read: Turns such a result into tensors: the output; the gradient by the input; or the
            gradients by the weight and by the bias.
    """

    call: Callable[[], Any]
    read: Callable[[Any], Parts]

    def result(self) -> Parts:
        """Compute once and return the tensors."""
        return self.read(self.call())


class Adapter(Protocol):
    """A way to compute layers: a library, in one memory format."""

    @property
    def name(self) -> str:
        """Name of the candidate, such as "torch channels_last"."""

    @property
    def family(self) -> str:
        """Name of the library, by which candidates are chosen."""

    def available(self) -> str | None:
        """Return None, or the reason in words why this cannot run here."""

    def prepare(self, task: Task) -> Prepared | None:
        """Return the task ready to be timed, or None where the library has no such operation."""


def operands(layer: Layer, dtype: torch.dtype = torch.float32, seed: int = 0) -> Operands:
    """Return normally distributed tensors for a layer."""
    generator = torch.Generator().manual_seed(seed)
    bias = (0,) if layer.is_pool else (layer.k,)
    shapes = (layer.input_shape, layer.weight_shape, bias, layer.output_shape)
    x, w, b, dy = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return Operands(x, w, b, dy)


def failure(error: Exception) -> str:
    """Return what went wrong in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def relative_error(parts: Parts, exact: Parts) -> float:
    """Return the largest of ||y - exact|| / ||exact|| over the tensors of a result.

    Infinity where a shape is another; NaN where an element is NaN.
    """
    if [part.shape for part in parts] != [part.shape for part in exact]:
        return float("inf")
    errors = [
        ((part.double() - truth).norm() / truth.norm())
        for part, truth in zip(parts, exact, strict=True)
    ]
    return float(torch.stack(errors).max())
