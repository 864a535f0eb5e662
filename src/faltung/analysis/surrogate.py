"""A model made such that gradients show every dependence, and nothing else.

The operators of the captured graph run in float64, with four changes. Weights are random, positive
and small enough for means; a maximum or minimum becomes a mean over the same elements, which, for
a pool, torch's own operator names when it is run on impulses; a function of single elements becomes
the mean of its operands; a normalisation and dropout hand their input on. A gradient is then a sum
of positive products over all paths: zero exactly where there is no path.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.utils._pytree import tree_leaves, tree_map

from faltung.analysis.calls import Call, shape_of
from faltung.analysis.capture import Captured
from faltung.analysis.keeping import same_random
from faltung.analysis.operands import Sights
from faltung.analysis.replay import floating, in_double, operate, replay
from faltung.analysis.rules import NORMALISATIONS

SEED = 11
HANDED_ON = (*NORMALISATIONS, "dropout", "feature_dropout", "alpha_dropout", "native_dropout")
SEARCHES = ("amax", "amin", "max", "min", "median")
EXTREME = ("max_pool2d", "min_pool2d", "adaptive_max_pool2d")


def surrogate(
    captured: Captured, images: tuple[Node, ...]
) -> tuple[tuple[Tensor, ...], dict[Node, Any]]:
    """Return the images, and the value of every node, connected with them by autograd.

    Values are as their operator returned them, whatever was written into them afterwards.
    """
    generator = torch.Generator().manual_seed(SEED)
    given: dict[Node, Any] = {}
    for node, tensor in captured.tensors.items():
        learned = node in captured.parameters
        given[node] = _weight(tensor, generator) if learned else in_double(tensor)
    pixels = []
    for node, tensor in zip(captured.inputs, captured.arguments, strict=True):
        given[node] = in_double(tensor)
        if node in images:
            pixels.append(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.5)
            pixels[-1].requires_grad_()
            given[node] = pixels[-1] * 1  # what a model writes into must be no leaf
    returned: dict[Node, Any] = {}

    def run(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = _run(node, args, kwargs)
        returned[node] = tree_map(_kept, result)
        return result

    with same_random(captured.model), torch.enable_grad():
        replay(captured.calls, given, run)
    return tuple(pixels), returned


def _kept(value: Any) -> Any:
    return value.clone() if floating(value) else value


def handed_on(call: Call, sights: Sights) -> Node | None:
    """Return the operand that a call hands on unchanged in the surrogate, if it does."""
    seeing = [node for node in call.operands() if sights.get(node) is not None]
    unary = call.pointwise and call.name != "copy" and len(seeing) == 1
    same = len(seeing) > 0 and shape_of(seeing[0]) == call.shape
    return seeing[0] if same and (unary or call.name in HANDED_ON) else None


def _weight(tensor: Tensor, generator: torch.Generator) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.5
    return drawn / max(prod(tensor.shape[1:]), 1)


def _run(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call = Call(node)
    args, kwargs = tree_map(_as_double, args), tree_map(_as_double, kwargs)
    seeing = [a for a in tree_leaves((args, kwargs)) if isinstance(a, Tensor) and a.requires_grad]
    if not seeing or not _differentiable(node):
        return tree_map(_in_double, operate(node, args, kwargs))
    if call.name in HANDED_ON:
        return _with_outputs(node, seeing[0])
    if call.name.startswith(EXTREME):
        return _with_outputs(node, _averaged(call, seeing[0]))
    if call.name in SEARCHES and call.get("other") is None:
        dims = call.get("dim")
        whole = None if dims is None or dims == [] else dims
        return _with_outputs(node, seeing[0].mean(whole, keepdim=bool(call.get("keepdim"))))
    if call.pointwise and call.name != "copy":
        mean = torch.stack(torch.broadcast_tensors(*seeing)).mean(0).expand(call.shape)
        return args[0].copy_(mean) if call.writes else mean.clone()
    return operate(node, args, kwargs)


def _as_double(value: Any) -> Any:
    return in_double(value) if isinstance(value, torch.dtype) else value


def _in_double(value: Any) -> Any:
    """Return floating-point numbers as float64: a tensor made on the way may have another type."""
    return value.double() if floating(value) else value


def _differentiable(node: Node) -> bool:
    return any(floating(value) for value in tree_leaves(node.meta.get("val")))


def _with_outputs(node: Node, first: Tensor) -> Any:
    """Return one tensor, or that and nothing else where the operator returns several."""
    several = node.meta.get("val")
    if isinstance(several, (tuple, list)):
        return (first, *(None for _ in several[1:]))
    return first


def _averaged(call: Call, x: Tensor) -> Tensor:
    """Return means over the elements that the operator takes extremes of."""
    rows, columns = (_read(call, place, x.shape) for place in (0, 1))
    return torch.einsum("yh,...hw,xw->...yx", rows, x, columns)


def _read(call: Call, place: int, shape: torch.Size) -> Tensor:
    """Return a matrix (outputs, length) whose rows are means over what the operator reads."""
    length, across = shape[place - 2], _across(call, shape[-1 - place])
    impulses = torch.zeros(length, 1, length, across, dtype=torch.float64)
    impulses[torch.arange(length), 0, torch.arange(length)] = 1
    sign = -1 if call.name.startswith("min") else 1
    planes = sign * (impulses if place == 0 else impulses.mT)
    with torch.no_grad():
        found = call.again(planes)
    peaks = sign * (found[0] if isinstance(found, (tuple, list)) else found)
    seen: Tensor = (peaks.amax(3 - place)[:, 0] > 0).T.double()
    return seen / seen.sum(1, keepdim=True)


def _across(call: Call, length: int) -> int:
    """Return how long the other axis must be for one window to fit."""
    if call.slide is None:
        return length
    return min(max(window.extent for window in call.slide.windows), length)
