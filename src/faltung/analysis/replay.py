"""A captured graph run again, operator by operator, on tensors of one's choice."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

Run = Callable[[Node, tuple[Any, ...], dict[str, Any]], Any]


def operate(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call what a node calls."""
    return node.target(*args, **kwargs)  # type: ignore[operator]


def replay(
    nodes: Sequence[Node], given: Mapping[Node, Any], run: Run = operate, *, forget: bool = False
) -> dict[Node, Any]:
    """Return the value of every node.

    Args:
        nodes: Calls in order.
        given: Values of the nodes that call nothing.
        run: What to do for each call.
        forget: Drop a value after the last call that reads it, to save memory.
    """
    values = dict(given)
    last = {operand: node for node in nodes for operand in node.all_input_nodes}
    for node in nodes:
        args = map_arg(node.args, values.__getitem__)
        kwargs = map_arg(node.kwargs, values.__getitem__)
        values[node] = run(node, args, kwargs)
        if forget:
            for operand in node.all_input_nodes:
                if last[operand] is node:
                    values.pop(operand, None)
    return values


def floating(value: Any) -> bool:
    """Say whether a value is a tensor of floating-point numbers."""
    return isinstance(value, Tensor) and value.is_floating_point()


def in_double(value: Any) -> Any:
    """Return a copy of a tensor on the CPU, floating-point numbers and types as float64.

    A tensor without numbers (on the meta device) becomes ones.
    """
    if isinstance(value, torch.dtype):
        return torch.float64 if value.is_floating_point else value
    if isinstance(value, (tuple, list)):
        return type(value)(in_double(part) for part in value)
    if isinstance(value, Tensor):
        dtype = torch.float64 if floating(value) else value.dtype
        if value.is_meta:
            return torch.ones(value.shape, dtype=dtype)
        return value.detach().to("cpu", dtype, copy=True)
    return value
