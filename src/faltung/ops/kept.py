"""Prepared weights kept between calls, for as long as the weights stay what they are.

A tensor that comes a second time with the same version of its content is prepared once more, and
what came of it is kept. The version counter tells of changes through torch; a fingerprint of all
its elements, taken at every call, tells of those that leave no trace there (`tensor.data`, NumPy
arrays and processes that share its memory). A call whose weights changed prepares them anew.
"""

import os
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faltung.compiler.call import Call
from faltung.compiler.digest import digest
from faltung.compiler.plan import Preparation

LIMIT = 1 << 29  # bytes of prepared weights; beyond, those that were prepared first are forgotten


@dataclass(frozen=True, eq=False)
class Kept:
    """Weights that were seen, and what they were prepared to.

    Attributes:
        weights: The tensor.
        version: Its version counter.
        address: Where it begins.
        digest: Its fingerprint, or None where it was seen only once.
        prepared: What is kept, or None where there is nothing to keep.
        at: The address of what is kept.
    """

    weights: "weakref.ref[Tensor]"
    version: int
    address: int
    digest: tuple[int, bytes] | None = None
    prepared: Tensor | None = None
    at: int = 0


_kept: dict[tuple[int, int], Kept] = {}
_lock = threading.RLock()  # a weight may die, and be forgotten, while this thread holds it


def _child() -> None:
    global _lock  # noqa: PLW0603 - a lock that another thread held does not open in a child
    _lock = threading.RLock()
    _kept.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_child)


def find(call: Call, first: Preparation, weights: Tensor, address: int) -> Kept | None:
    """Return prepared weights for a call, or None where it has to prepare them anew.

    Args:
        call: The call.
        first: What it does with weights that are worth keeping.
        weights: Its weights.
        address: Where they begin.
    """
    key = (id(weights), call.token)
    found = _kept.get(key)
    version = 0 if weights.is_inference() else weights._version
    if (
        found is None
        or found.weights() is not weights
        or found.version != version
        or found.address != address
    ):
        _remember(key, Kept(weakref.ref(weights, _forgetting(key)), version, address))
        return None
    if found.digest is None:
        return _prepared(call, first, key, found, weights)
    if found.prepared is None:
        return None
    if _digest(call, weights, address) != found.digest:
        _remember(key, Kept(found.weights, version, address))
        return None
    return found


def _prepared(
    call: Call, first: Preparation, key: tuple[int, int], seen: Kept, weights: Tensor
) -> Kept | None:
    """Prepare weights that came a second time; None where they cannot be kept."""
    now = Kept(seen.weights, seen.version, seen.address, (0, b""))
    if first.size <= LIMIT and _whole(weights):
        before = _digest(call, weights, seen.address)
        made = torch.empty(first.size, dtype=torch.uint8)
        room = torch.empty(call.workspace, dtype=torch.uint8)
        if call.prepare_weights(seen.address, made.data_ptr(), room.data_ptr()):
            at = made.data_ptr()
            now = Kept(seen.weights, seen.version, seen.address, before, made, at)
    _remember(key, now)
    return now if now.prepared is not None else None


def _whole(weights: Tensor) -> bool:
    """Say whether the elements of a tensor lie side by side, so that a fingerprint sees them."""
    return weights.is_contiguous() or weights.is_contiguous(memory_format=torch.channels_last)


def _digest(call: Call, weights: Tensor, address: int) -> tuple[int, bytes]:
    return digest(address, weights.numel() * weights.itemsize, call.target, call.threads)


def _remember(key: tuple[int, int], entry: Kept) -> None:
    with _lock:
        _kept.pop(key, None)
        _kept[key] = entry
        if entry.prepared is None:  # a training comes here with every weight at every step
            return
        entries = list(_kept.items())  # a weight that dies meanwhile is forgotten by this thread
        sizes = [0 if e.prepared is None else e.prepared.numel() for _, e in entries]
        held = sum(sizes)
        for (old, _), size in zip(entries, sizes, strict=True):
            if held <= LIMIT:
                break
            _kept.pop(old, None)
            held -= size


def _forgetting(key: tuple[int, int]) -> Any:
    def forget(dead: "weakref.ref[Tensor]") -> None:
        with _lock:
            entry = _kept.get(key)
            if entry is not None and entry.weights is dead:
                del _kept[key]

    return forget
