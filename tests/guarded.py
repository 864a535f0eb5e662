"""Tensors that lie against memory that may not be touched.

A kernel that reads or writes one element past such a tensor ends its process, so that code on them
runs in a process of its own, which says what it does before it does it.
"""

import ctypes
import mmap
from functools import cache
from typing import Any

import torch
from torch import Tensor

PAGE = mmap.PAGESIZE
SIDES = ("before", "behind")
"""Where the unreadable page lies that a tensor touches."""

UNTOUCHED = -77.0
"""What lies between the elements of a `blank` tensor."""


@cache
def _mprotect() -> Any:
    """Return the function of the system.

    Raises:
        OSError, AttributeError, TypeError: There is none.
    """
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return protect


def missing() -> str | None:
    """Return why pages cannot be made unreadable here, or None."""
    try:
        _between(1)
    except (OSError, AttributeError, TypeError) as error:
        return f"this system does not let a program make its pages unreadable: {error}"
    return None


def _between(size: int) -> mmap.mmap:
    """Return memory whose first and last page may be neither read nor written."""
    whole = -(-size // PAGE) * PAGE
    memory = mmap.mmap(-1, whole + 2 * PAGE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (first, first + PAGE + whole):
        if _mprotect()(page, PAGE, 0) != 0:
            raise OSError(ctypes.get_errno(), "mprotect")
    return memory


def flat(count: int, dtype: torch.dtype, side: str) -> Tensor:
    """Return `count` elements; the tensor keeps its memory alive."""
    size = count * dtype.itemsize
    memory = _between(size)
    offset = PAGE if side == "before" else len(memory) - PAGE - size
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=offset)


def extent(x: Tensor) -> int:
    """Return how many elements there are from a tensor's first to its last."""
    return 1 + sum((n - 1) * step for n, step in zip(x.shape, x.stride(), strict=True))


def guarded(x: Tensor, side: str) -> Tensor:
    """Return a tensor, with what lies between its elements, against an unreadable page.

    Args:
        x: A tensor of any strides.
        side: "before": its first byte lies right behind an unreadable page; "behind": its last
            byte lies right before one.
    """
    count = extent(x)
    held = flat(count, x.dtype, side)
    held.copy_(x.as_strided((count,), (1,)))
    return held.as_strided(x.shape, x.stride())


def blank(like: Tensor) -> Tensor:
    """Return a tensor of that shape and strides in which everything is `UNTOUCHED`."""
    room = torch.full((extent(like),), UNTOUCHED, dtype=like.dtype)
    return room.as_strided(like.shape, like.stride())


def gaps_untouched(x: Tensor) -> bool:
    """Say whether all that lies between the elements of a once `blank` tensor is as it was."""
    held = x.as_strided((extent(x),), (1,)).clone()
    held.as_strided(x.shape, x.stride()).fill_(UNTOUCHED)
    return bool((held == UNTOUCHED).all())
