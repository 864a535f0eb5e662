"""Receptive fields of every tensor in a captured graph."""

from collections import Counter

from torch.fx import Node

from faltung.analysis.calls import Call, shape_of
from faltung.analysis.capture import Captured
from faltung.analysis.operands import Seen, Sights, one
from faltung.analysis.rules import seen
from faltung.analysis.sight import Sight, image, union


def images(captured: Captured) -> tuple[Node, ...]:
    """Return the inputs that are the image: the first with rows and columns, and those as large."""
    shapes = {node: shape_of(node) for node in captured.inputs}
    found = [node for node, shape in shapes.items() if len(shape) in {3, 4}]
    return tuple(node for node in found if shapes[node][-2:] == shapes[found[0]][-2:])


def sights(captured: Captured) -> Sights:
    """Return for each node what its elements see when it is called.

    Nodes that see no image are left out. What is written into a tensor later is not in its own
    entry, but in those of the calls that read it afterwards.
    """
    calls: Sights = {}
    found: Sights = {node: image(shape_of(node)) for node in images(captured)}
    roots: dict[Node, Node] = {}
    for node in captured.calls:
        call = Call(node)
        made = seen(call, found)
        if made is not None:
            calls[node] = found[node] = made
        operands = tuple(call.operands())
        if not operands:
            continue
        if call.writes or call.views:
            roots[node] = roots.get(operands[0], operands[0])
        if call.writes and made is not None:
            _written(node, operands[0], roots, found)
    return calls


def writers(captured: Captured) -> Counter[Node]:
    """Return how many calls write into each node's memory, themselves or through a view."""
    roots: dict[Node, Node] = {}
    found: Counter[Node] = Counter()
    for node in captured.calls:
        call = Call(node)
        target = next(call.operands(), None)
        if target is None or not (call.writes or call.views):
            continue
        roots[node] = roots.get(target, target)
        if call.writes:
            found.update({target, roots[node]})
    return found


def _written(node: Node, target: Node, roots: dict[Node, Node], found: Sights) -> None:
    """Note that a tensor was overwritten, and in part all that share its memory."""
    root = roots[node]
    sharing = [other for other, own in roots.items() if own is root and other is not node]
    for other in {root, *sharing}:
        whole = other is target
        found[other] = found[node] if whole else _partly(found.get(other), one(found[node]))


def _partly(before: Seen, written: Sight | None) -> Seen:
    if written is None:
        return before
    old = one(before)
    if old is None:
        return written.merged()
    if all(
        (a.dim, len(a.cells)) == (b.dim, len(b.cells))
        for a, b in zip(old.axes, written.axes, strict=True)
    ):
        return old.joined(written)
    return union([old, written.merged()])
