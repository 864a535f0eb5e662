"""The sizes that tensors took on their way through a model that failed."""

from dataclasses import dataclass

import torch
from torch.fx import Node

from faltung.analysis.calls import Call
from faltung.analysis.inputs import shown
from faltung.analysis.record import Recording

MOST = 14  # lines of a chain that is shown whole
LAST = 4  # lines that are shown of the end of a longer one, besides those where the size changes
GAP = "  ..."


@dataclass(frozen=True)
class Link:
    """One step of the way.

    Attributes:
        path: The layer, or the layer that called the operator.
        what: The layer as it prints itself, or the operator.
        shape: Shape of the result.
    """

    path: str
    what: str
    shape: tuple[int, ...]


def links(model: torch.nn.Module, recording: Recording) -> tuple[Link, ...]:
    """Return what was computed from the inputs before the failure, layer by layer."""
    reached = set(recording.inputs)
    found: list[tuple[str, Link]] = []
    for node in recording.graph.nodes:
        if node.op != "call_function" or not reached.intersection(node.all_input_nodes):
            continue
        reached.add(node)
        call = Call(node)
        if not call.shape or call.name == "getitem":
            continue
        path = list(node.meta["nn_module_stack"])[-1] if node.meta["nn_module_stack"] else ""
        if recording.stack and path == recording.stack[-1] and path:
            continue
        layer = model.get_submodule(path)
        alone = path and not any(True for _ in layer.children())
        link = Link(path, _described(layer) if alone else call.name, call.shape)
        if alone and found and found[-1][0] == path:
            found.pop()
        found.append((path if alone else "", link))
    return tuple(link for _, link in found)


def told(inputs: tuple[Node, ...], steps: tuple[Link, ...]) -> list[str]:
    """Return the chain as lines; of a long one those that change the size, and the last."""
    given = ", ".join(shown(Call(node).shape) for node in inputs)
    rows = [("input", "", given)] + [(s.path or "-", s.what, shown(s.shape)) for s in steps]
    width, wide = (max(len(row[at]) for row in rows) for at in (0, 1))
    lines = [f"  {p.ljust(width)}  {w.ljust(wide)}  {shape}" for p, w, shape in rows]
    if len(lines) <= MOST:
        return lines
    planes = [row[2].split("x")[2:] for row in rows]
    kept = [
        at == 0 or at >= len(lines) - LAST or planes[at] != planes[at - 1]
        for at in range(len(lines))
    ]
    shortened: list[str] = []
    for line, shown_here in zip(lines, kept, strict=True):
        if shown_here:
            shortened.append(line)
        elif shortened[-1] != GAP:
            shortened.append(GAP)
    return shortened


def _described(layer: torch.nn.Module) -> str:
    """Return a layer as it prints itself, on one line of moderate length."""
    text = " ".join(repr(layer).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
