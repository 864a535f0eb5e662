"""Times of the operators of a model, each alone.

The model runs once, operator by operator; where it comes to a layer, that operator is called again
and again on the very tensors it gets there, without hooks and without the code of the model, and
the median is kept. Backward, those gradients are asked for that training would compute: by the
parameters that require one, and by operands that such parameters lie behind, so by no image.
Buffers are copies: nothing of the model changes. What runs between layers (views, copies of
memory) is in no layer's time.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.utils._pytree import tree_leaves, tree_map

from faltung.analysis.calls import Call
from faltung.analysis.keeping import same_random
from faltung.analysis.layers import Analysed
from faltung.analysis.replay import floating, operate, replay
from faltung.errors import ArgumentError

SAMPLES = 15  # calls of one operator that are timed at most
LEAST = 3
PATIENCE = 0.1  # seconds after which no further call is timed


@dataclass(frozen=True)
class Times:
    """Median milliseconds of one operator.

    Attributes:
        forward: Of a call.
        backward: Of all its gradients; None where it has none.
    """

    forward: float
    backward: float | None


def times(analysed: Analysed) -> dict[Node, Times]:
    """Return the times of the layers of a model.

    Values are kept as long as a later operator reads them. On other devices than the CPU the device
    is waited for after every call.

    Raises:
        ArgumentError: The model or its input is on the meta device.
    """
    captured = analysed.captured
    if any(tensor.is_meta for tensor in (*captured.tensors.values(), *captured.arguments)):
        raise ArgumentError(
            "measured is True, but the model is on the meta device, where nothing is computed: "
            "move it with model.to_empty(device='cpu')"
        )
    wanted = {layer.call.node for layer in analysed.layers}
    learning = {node for node in captured.parameters if captured.tensors[node].requires_grad}
    measured: dict[Node, Times] = {}
    given = {
        node: tensor.detach() if node in captured.parameters else tensor.detach().clone()
        for node, tensor in captured.tensors.items()
    }
    given.update(
        (node, tensor.detach().clone())
        for node, tensor in zip(captured.inputs, captured.arguments, strict=True)
    )
    for node in learning:
        given[node].requires_grad_()

    def run(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if node in wanted:
            measured[node] = _timed(node, args, kwargs)
        with torch.no_grad():
            result = operate(node, args, kwargs)
        if learning.intersection(node.all_input_nodes):
            learning.add(node)
            for part in tree_leaves(result):
                if floating(part):
                    part.requires_grad_()
        return result

    with same_random(captured.model):
        replay(captured.calls, given, run, forget=True)
    return measured


def _timed(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Times:
    own, named = tree_map(_own, (args, kwargs)) if Call(node).writes else (args, kwargs)
    with torch.no_grad():
        forward = _median(lambda: operate(node, own, named))
    return Times(forward, _backward(node, args, kwargs))


def _own(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _backward(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float | None:
    """Return the time of the gradients that training would ask for; None where it asks none."""
    writes = Call(node).writes
    leaves: list[Tensor] = []

    def leaf(value: Any) -> Any:
        if not floating(value) or not value.requires_grad:
            return value
        leaves.append(value.detach().requires_grad_())
        return leaves[-1].clone() if writes else leaves[-1]

    with torch.enable_grad():
        own, named = tree_map(leaf, (args, kwargs))
        results = tree_leaves(operate(node, own, named))
    found = [result for result in results if floating(result) and result.requires_grad]
    if not found:
        return None
    seeds = [torch.ones_like(result) for result in found]
    return _median(
        lambda: torch.autograd.grad(found, leaves, seeds, retain_graph=True, allow_unused=True)
    )


def _median(call: Callable[[], Any]) -> float:
    """Return the median time of a call in milliseconds, the first one left out."""
    _waited(call())
    samples: list[float] = []
    until = time.perf_counter() + PATIENCE
    while len(samples) < LEAST or (len(samples) < SAMPLES and time.perf_counter() < until):
        began = time.perf_counter()
        _waited(call())
        samples.append(time.perf_counter() - began)
    return statistics.median(samples) * 1e3


def _waited(result: Any) -> None:
    first = next((part for part in tree_leaves(result) if isinstance(part, Tensor)), None)
    if first is not None and first.is_cuda:
        torch.cuda.synchronize(first.device)
