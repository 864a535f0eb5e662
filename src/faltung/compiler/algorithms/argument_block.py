"""The argument block of a kernel read by names, memory in whole cache lines, and flags.

The places of the addresses are those of the table in `faltung.compiler.plan`.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from faltung.compiler.emit import Code, Pointer
from faltung.compiler.plan import POINTERS, PREPARED, SUMMAND, WORKSPACE

FLAGS = 512  # float32 elements at the start of a guarded workspace: one 64-bit flag a thread


def read_arguments(code: Code, kind: str, tensors: Sequence[str], numbers: Sequence[str]) -> Any:
    """Read the argument block.

    Args:
        code: The function being written.
        kind: Element type of the tensors; the workspace holds float32.
        tensors: What the first four addresses are called.
        numbers: What the numbers behind the addresses are called, in their order.

    Returns:
        A namespace of all these, and of `workspace`, `prepared` and `summand`.
    """
    held: dict[str, Any] = {name: code.pointer(place, kind) for place, name in enumerate(tensors)}
    held["workspace"], held["prepared"] = code.pointer(WORKSPACE), code.pointer(PREPARED)
    held["summand"] = code.pointer(SUMMAND, kind)
    for place, name in enumerate(numbers, POINTERS):
        held[name] = code.argument(place)
    return SimpleNamespace(**held)


def flag(code: Code, workspace: Pointer) -> Pointer:
    """Return where this thread's flag is in a guarded workspace."""
    return workspace.cast("i64") + code.thread


def rounded(elements: int) -> int:
    """Return float32 elements rounded up to 64 bytes, a cache line."""
    return -(-elements // 16) * 16
