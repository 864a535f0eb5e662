"""One call of an operator in a captured graph: its name, its arguments, its windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.fx import Node

from faltung.functional.arguments import padding_form, sliding
from faltung.geometry import Window, windows

CONVOLUTIONS = ("conv2d", "convolution", "conv1d", "conv3d")
TRANSPOSED = ("conv_transpose2d", "conv2d_input_gradient", "conv_transpose1d", "conv_transpose3d")
POOLS = (
    "avg_pool2d", "avg_pool3d", "max_pool2d", "max_pool2d_values", "max_pool2d_with_indices",
    "min_pool2d", "min_pool2d_values",
)  # fmt: skip
UNTAGGED = (
    "hardswish", "log_sigmoid", "log_sigmoid_forward", "where", "floor_divide", "relu6", "prelu",
    "_prelu_kernel", "hardtanh", "celu", "selu", "rrelu",
)  # fmt: skip


@dataclass(frozen=True)
class Slide:
    """A windowed operation.

    Attributes:
        kind: "conv", "transposed", "local" or "pool".
        windows: Along height and width; of a transposed convolution, those that would lead back.
        groups: Groups of channels; of a pool 1.
    """

    kind: str
    windows: tuple[Window, Window]
    groups: int = 1


@dataclass(frozen=True)
class Call:
    """A node that calls an operator.

    Attributes:
        node: The node.
    """

    node: Node

    @cached_property
    def name(self) -> str:
        """The operator's name, without its library, overload and the mark of writing in place."""
        schema = getattr(self.node.target, "_schema", None)
        if schema is None:
            return str(getattr(self.node.target, "__name__", self.node.target))
        plain: str = schema.name.partition("::")[2]
        return plain[:-1] if plain.endswith("_") and not plain.startswith("__") else plain

    @cached_property
    def ours(self) -> bool:
        """It is an operator of this library."""
        return getattr(self.node.target, "namespace", "") == "faltung"

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """All arguments by name, those left out with their defaults."""
        schema = getattr(self.node.target, "_schema", None)
        if schema is None:
            return dict(enumerate(self.node.args))  # type: ignore[arg-type]
        given = dict(zip((a.name for a in schema.arguments), self.node.args, strict=False))
        given.update(self.node.kwargs)
        return {a.name: given.get(a.name, a.default_value) for a in schema.arguments}

    def get(self, *names: str) -> Any:
        """Return the first argument of one of these names; None where there is none."""
        return next((self.arguments[name] for name in names if name in self.arguments), None)

    def again(self, x: torch.Tensor, **changed: Any) -> Any:
        """Call the operator on another tensor, with the same other arguments but those changed."""
        first = next(iter(self.arguments))
        return self.node.target(**{**self.arguments, first: x, **changed})  # type: ignore[operator]

    @cached_property
    def x(self) -> Node:
        """The node of the first operand."""
        return next(self.operands())

    def operands(self) -> Iterator[Node]:
        """Yield the nodes that are read, those in lists too."""
        yield from self.node.all_input_nodes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result; of the first, where there are several."""
        return shape_of(self.node)

    @cached_property
    def writes(self) -> bool:
        """It writes into its first operand."""
        schema = getattr(self.node.target, "_schema", None)
        first = schema.arguments[0].alias_info if schema and schema.arguments else None
        return first is not None and bool(first.is_write)

    @cached_property
    def views(self) -> bool:
        """Its result is a view of its first operand, or may be."""
        schema = getattr(self.node.target, "_schema", None)
        first = schema.arguments[0].alias_info if schema and schema.arguments else None
        return (first is not None and not first.is_write) or self.name in {"reshape", "contiguous"}

    @cached_property
    def pointwise(self) -> bool:
        """It computes element by element: torch's tag says so, or it is one that torch forgot."""
        return torch.Tag.pointwise in getattr(self.node.target, "tags", ()) or self.name in UNTAGGED

    @cached_property
    def slide(self) -> Slide | None:
        """The windows of a convolution or pool along the last two dimensions; None for all else."""
        if len(shape_of(self.x)) not in {3, 4, 5}:
            return None
        for names, read in _READERS:
            if self.name in names:
                return read(self)
        return None


def shape_of(node: Node) -> tuple[int, ...]:
    """Return the shape of a node's tensor; of the first, where there are several."""
    value = node.meta.get("val")
    if isinstance(value, (tuple, list)):
        value = next((part for part in value if isinstance(part, torch.Tensor)), None)
    return tuple(int(n) for n in value.shape) if isinstance(value, torch.Tensor) else ()


def bytes_of(node: Node) -> int:
    """Return the bytes of a node's tensors."""
    value = node.meta.get("val")
    parts = value if isinstance(value, (tuple, list)) else (value,)
    return sum(p.numel() * p.element_size() for p in parts if isinstance(p, torch.Tensor))


def _pair(value: Any) -> tuple[int, int]:
    """Return an argument for the last two dimensions as a pair."""
    numbers = [value] * 2 if isinstance(value, int) else [*value, *value][-2:]
    return int(numbers[0]), int(numbers[1])


def _convolution(call: Call) -> Slide | None:
    weight = shape_of(call.get("weight"))
    if len(weight) not in {4, 5}:
        return None
    transposed = bool(call.get("transposed"))
    over = _windows(call, weight[-2:])
    return Slide("transposed" if transposed else "conv", over, call.get("groups"))


def _transposed(call: Call) -> Slide | None:
    weight = shape_of(call.get("weight"))
    if len(weight) not in {4, 5}:
        return None
    return Slide("transposed", _windows(call, weight[-2:]), call.get("groups"))


def _local(call: Call) -> Slide:
    return Slide("local", _windows(call, shape_of(call.get("weight"))[4:]))


def _pool(call: Call) -> Slide:
    size = call.get("size", "kernel_size")
    return Slide("pool", _windows(call, _pair(size)))


def _windows(call: Call, size: Any) -> tuple[Window, Window]:
    stride = call.get("stride") or size
    dilation, padding = call.get("dilation") or 1, call.get("padding")
    ceil = bool(call.get("ceil_mode"))
    if call.ours:
        return windows(size, stride, padding, _pair(dilation), ceil)
    lengths = shape_of(call.x)[-2:]
    if call.get("transposed") or call.name in TRANSPOSED:
        height, width = _pair(padding)
        return windows(size, _pair(stride), (height, height, width, width), _pair(dilation))
    form = padding_form(padding if isinstance(padding, str) else _pair(padding))
    return sliding(lengths, size, _pair(stride), form, _pair(dilation), ceil=ceil)


_READERS = (
    (CONVOLUTIONS, _convolution),
    (TRANSPOSED, _transposed),
    (("local2d",), _local),
    (POOLS, _pool),
)
