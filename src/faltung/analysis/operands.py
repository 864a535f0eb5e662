"""What the operands of a call see, one by one or together."""

from typing import TypeAlias

from torch.fx import Node

from faltung.analysis.calls import Call, shape_of
from faltung.analysis.sight import Sight, union

Seen: TypeAlias = Sight | list[Sight] | None  # a list where an operator returns unlike tensors
Sights: TypeAlias = dict[Node, Seen]


def one(found: Seen) -> Sight | None:
    """Return what one tensor sees; the union, where there are several unlike ones."""
    if isinstance(found, list):
        return union([sight.merged() for sight in found])
    return found


def operands(call: Call, sights: Sights) -> list[tuple[Node, Sight]]:
    """Return the operands that see something of the image, and what they see."""
    found = ((node, one(sights.get(node))) for node in call.operands())
    return [(node, sight) for node, sight in found if sight is not None]


def first(call: Call, sights: Sights) -> Sight:
    """Return the sight of the first operand, and with it all that the other operands see."""
    others = [sight.merged() for node, sight in operands(call, sights) if node is not call.x]
    own = one(sights.get(call.x))
    return union([*([own] if own is not None else []), *others])


def placed_in(call: Call, node: Node, sights: Sights) -> Sight | None:
    """Return what an operand sees, its dimensions counted as those of the result."""
    sight = one(sights.get(node))
    if sight is None:
        return None
    more = len(call.shape) - len(shape_of(node))
    return sight.placed(*(None if axis.dim is None else axis.dim + more for axis in sight.axes))
