"""A model's operators as a graph, written down while the model runs."""

import operator
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from faltung.analysis.keeping import kept

Shapes = tuple[tuple[int, ...], ...]


@dataclass
class Recording:
    """What was written down.

    Attributes:
        graph: One node an operator, as in `Captured`.
        inputs: The nodes of the inputs.
        constants: For each node of a tensor that no operator made, that tensor.
        error: What ended the run, or None where it ended well.
        stack: The layers that were running when the error came, the innermost last.
        given: Shapes of the tensors that the innermost of them was called with.
        operator: The operator that failed, where it came to one.
        operands: Shapes of its tensors.
    """

    graph: Graph = field(default_factory=Graph)
    inputs: tuple[Node, ...] = ()
    constants: dict[Node, Tensor] = field(default_factory=dict)
    error: Exception | None = None
    stack: tuple[str, ...] = ()
    given: Shapes = ()
    operator: str = ""
    operands: Shapes = ()


def record(model: torch.nn.Module, arguments: tuple[Tensor, ...]) -> Recording:
    """Run a model once, without gradients, and write its operators down.

    The model stays as it was. What it raises is kept in the recording.
    """
    recording = Recording()
    recorder = _Recorder(recording)
    with kept(model), torch.no_grad(), _hooked(model, recorder):
        recording.inputs = tuple(recorder.given(tensor) for tensor in arguments)
        try:
            with recorder:
                model(*arguments)
        except Exception as error:
            recording.error = error
            recording.stack = tuple(path for path, _ in recorder.running)
            recording.given = recorder.running[-1][1] if recorder.running else ()
    return recording


class _Recorder(TorchDispatchMode):
    def __init__(self, recording: Recording) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = recording
        self.nodes: Any = WeakTensorKeyDictionary()
        self.running: list[tuple[str, Shapes]] = []
        self.kinds: dict[str, str] = {}

    def given(self, tensor: Tensor) -> Node:
        """Return the node of a tensor that no operator made."""
        graph = self.recording.graph
        node = graph.placeholder(f"given_{len(graph.nodes)}")
        node.meta["val"] = _shadow(tensor)
        self.nodes[tensor] = node
        return node

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        keywords = kwargs or {}
        read = tree_map(self._node, (args, keywords))
        try:
            result = func(*args, **keywords)
        except Exception:
            self.recording.operator = func._schema.name.partition("::")[2]
            self.recording.operands = _shapes((args, keywords))
            raise
        node = self.recording.graph.call_function(func, *read)
        node.meta["val"] = tree_map(_shadow, result)
        node.meta["nn_module_stack"] = {path: (path, self.kinds[path]) for path, _ in self.running}
        self._made(node, result)
        return result

    def _node(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        found = self.nodes.get(value)
        if found is None:
            found = self.given(value)
            self.recording.constants[found] = value.detach() if not value.is_leaf else value
        return found

    def _made(self, node: Node, result: Any) -> None:
        if isinstance(result, Tensor):
            self.nodes[result] = node
        elif isinstance(result, (tuple, list)):
            for number, part in enumerate(result):
                if isinstance(part, Tensor):
                    item = self.recording.graph.call_function(operator.getitem, (node, number))
                    item.meta = {**node.meta, "val": _shadow(part)}
                    self.nodes[part] = item


def _shadow(value: Any) -> Any:
    """Return a tensor of the same shape, strides and type, without elements."""
    if not isinstance(value, Tensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")


def _shapes(values: Any) -> Shapes:
    return tuple(tuple(v.shape) for v in tree_leaves(values) if isinstance(v, Tensor))


@contextmanager
def _hooked(model: torch.nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Let the recorder know which layers are running."""
    with ExitStack() as hooks:
        for path, layer in model.named_modules():
            recorder.kinds[path] = f"{type(layer).__module__}.{type(layer).__qualname__}"

            def enter(_: Any, args: Any, path: str = path) -> None:
                recorder.running.append((path, _shapes(args)))

            def leave(*_: Any) -> None:
                recorder.running.pop()

            hooks.callback(layer.register_forward_pre_hook(enter).remove)
            hooks.callback(layer.register_forward_hook(leave).remove)
        yield
