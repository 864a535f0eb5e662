"""A model analysed: its graph, which of its calls are layers, and what they see."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import torch
from torch.fx import Node

from faltung.analysis.calls import Call
from faltung.analysis.capture import Captured, capture
from faltung.analysis.fields import sights
from faltung.analysis.inputs import Input, tensors
from faltung.analysis.operands import Sights

HIDDEN = {
    "getitem", "contiguous", "clone", "detach", "alias", "to", "_to_copy", "type_as", "float",
    "double", "lift_fresh", "lift_fresh_copy", "identity", "_assert_tensor_metadata", "view",
    "reshape", "_unsafe_view", "permute", "transpose", "t", "movedim", "moveaxis", "swapaxes",
    "swapdims", "squeeze", "unsqueeze", "select", "numpy_T", "expand", "expand_as", "unbind",
    "split", "split_with_sizes", "chunk", "slice", "narrow", "unflatten", "broadcast_to",
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """A call that is shown.

    Attributes:
        call: The call.
        path: Its path, unique.
        name: The layer's class, or the operator.
    """

    call: Call
    path: str
    name: str


@dataclass(frozen=True)
class Analysed:
    """A model and what is known about it for an input.

    Attributes:
        captured: Its graph.
        layers: The calls that are shown, in order.
        sights: What each node sees of the image.
        reached: The nodes that depend on an input.
    """

    captured: Captured
    layers: tuple[Layer, ...]
    sights: Sights
    reached: frozenset[Node]


def analyse(model: torch.nn.Module, input: Input) -> Analysed:
    """Capture a model for an input and follow what its tensors see.

    Raises:
        ArgumentError: input is no input.
        ShapeError: Sizes do not fit; the message tells the chain of sizes that led there.
        ModelError: model is no model, or raises.
    """
    captured = capture(model, tensors(model, input))
    reached = set(captured.inputs)
    for node in captured.calls:
        if any(operand in reached for operand in node.all_input_nodes):
            reached.add(node)
    return Analysed(captured, _layers(captured, reached), sights(captured), frozenset(reached))


def _layers(captured: Captured, reached: set[Node]) -> tuple[Layer, ...]:
    calls = [Call(node) for node in captured.calls if node in reached]
    shown = [call for call in calls if call.name not in HIDDEN]
    grouped: dict[str, list[Call]] = defaultdict(list)
    for call in shown:
        grouped[_stack(call)[0]].append(call)
    modules = dict(captured.model.named_modules())
    used: Counter[str] = Counter()
    found = []
    for call in shown:
        raw, kind = _stack(call)
        path, _, _ = raw.partition("@")
        alone = len({c.name for c in grouped[raw]}) == 1 and path and _childless(modules.get(path))
        base = path if alone else f"{path}.{call.name}".lstrip(".")
        used[base] += 1
        number = f"#{used[base]}" if used[base] > 1 else ""
        found.append(Layer(call, base + number, kind if alone else call.name))
    return tuple(found)


def _stack(call: Call) -> tuple[str, str]:
    """Return the path and the class of the innermost layer that makes a call."""
    stack = call.node.meta.get("nn_module_stack") or {}
    path, kind = list(stack.values())[-1] if stack else ("", "")
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return path, name.rpartition(".")[2].removeprefix("Parametrized")


def _childless(layer: torch.nn.Module | None) -> bool:
    """Say whether a layer has no layers within, those that make its weights left out."""
    return layer is not None and all(
        name == "parametrizations" for name, _ in layer.named_children()
    )
