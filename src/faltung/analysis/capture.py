"""A model's operators as a graph: by torch.export, or by running the model once with hooks."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Graph, Node

from faltung.analysis.keeping import kept, quiet
from faltung.analysis.misfit import explained
from faltung.analysis.record import Recording, record

EXPORTED = "captured by torch.export"


@dataclass(frozen=True)
class Captured:
    """The operators that a model calls for an input, in order.

    Attributes:
        graph: One node an operator; `meta["val"]` holds a tensor of its shape, and
            `meta["nn_module_stack"]` the layers it is called in.
        how: How the graph was come by, in words.
        inputs: The nodes of the inputs, in order.
        arguments: Their tensors.
        tensors: For each other node without operands (parameters, buffers, constants) its tensor.
        parameters: The names of those that are parameters.
        model: What was captured.
    """

    graph: Graph
    how: str
    inputs: tuple[Node, ...]
    arguments: tuple[Tensor, ...]
    tensors: Mapping[Node, Tensor]
    parameters: Mapping[Node, str]
    model: torch.nn.Module

    @property
    def calls(self) -> tuple[Node, ...]:
        """The nodes that call something."""
        return tuple(node for node in self.graph.nodes if node.op == "call_function")


def capture(model: torch.nn.Module, arguments: tuple[Tensor, ...]) -> Captured:
    """Return the operators that a model calls; the model stays as it was.

    Raises:
        ModelError: It raises something else.
        ShapeError: Sizes do not fit; the message tells the chain of sizes that led there.
    """
    try:
        return _exported(model, arguments)
    except Exception as error:
        said = str(error).strip()  # nothing, of a bare assert
        reason = type(error).__name__ + (f": {said.splitlines()[0]}" if said else "")
        recorded = record(model, arguments)
        if recorded.error is not None:
            raise explained(model, arguments, recorded) from recorded.error
        return _recorded(model, arguments, recorded, reason)


def _exported(model: torch.nn.Module, arguments: tuple[Tensor, ...]) -> Captured:
    with kept(model), quiet():
        program = torch.export.export(model, arguments, strict=False)
    signature, graph = program.graph_signature, program.graph
    if any(node.op not in {"placeholder", "call_function", "output"} for node in graph.nodes):
        raise NotImplementedError("it holds graphs within the graph")
    named = {node.name: node for node in graph.nodes if node.op == "placeholder"}
    tensors: dict[Node, Tensor] = {}
    parameters: dict[Node, str] = {}
    for name, target in signature.inputs_to_parameters.items():
        tensors[named[name]] = program.state_dict[target]
        parameters[named[name]] = target
    kinds = (signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants)
    for name, target in (item for kind in kinds for item in kind.items()):
        found = program.state_dict.get(target, program.constants.get(target))
        tensors[named[name]] = found
    inputs = tuple(named[name] for name in signature.user_inputs if isinstance(name, str))
    return Captured(graph, EXPORTED, inputs, arguments, tensors, parameters, model)


def _recorded(
    model: torch.nn.Module, arguments: tuple[Tensor, ...], found: Recording, reason: str
) -> Captured:
    how = (
        f"recorded while the model ran once, with hooks on its layers, because torch.export could "
        f"not capture it ({reason}); another input may take another way"
    )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    parameters = {
        node: names[id(tensor)] for node, tensor in found.constants.items() if id(tensor) in names
    }
    return Captured(found.graph, how, found.inputs, arguments, found.constants, parameters, model)
