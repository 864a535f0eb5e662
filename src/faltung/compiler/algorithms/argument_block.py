"""The argument block of a kernel read by names, memory in whole cache lines, and flags.

The places of the addresses are those of the table in `faltung.compiler.plan`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from faltung.compiler.emit import Code, Pointer
from faltung.compiler.plan import POINTERS, PREPARED, SUMMAND, WORKSPACE

FLAGS = 512  # float32 elements at the start of a guarded workspace: one 64-bit flag a thread


def read_arguments(code: Code, kind: str, tensors: Sequence[str], numbers: Sequence[str]) -> Any:
    """Return a namespace of the argument block, each part of which is read once it is asked for.

    Args:
        code: The function being written.
        kind: Element type of the tensors; the workspace holds float32.
        tensors: What the first four addresses are called.
        numbers: What the numbers behind the addresses are called, in their order.

    Returns:
        A namespace of all these, and of `workspace`, `prepared` and `summand`.
    """
    addresses = {name: (place, kind) for place, name in enumerate(tensors)}
    addresses |= {"workspace": (WORKSPACE, "f32"), "prepared": (PREPARED, "f32")}
    addresses["summand"] = (SUMMAND, kind)
    places = {name: place for place, name in enumerate(numbers, POINTERS)}
    return _Arguments(code, addresses, places)


class _Arguments:
    """Names of addresses, with their kinds, and of numbers in an argument block."""

    def __init__(
        self, code: Code, addresses: Mapping[str, tuple[int, str]], places: Mapping[str, int]
    ) -> None:
        self._code, self._addresses, self._places = code, addresses, places

    def __getattr__(self, name: str) -> Any:
        """Read an argument; later it is an attribute."""
        if name.startswith("_"):
            raise AttributeError(name)  # of a copy that is not complete yet
        if name in self._addresses:
            found: Any = self._code.pointer(*self._addresses[name])
        elif name in self._places:
            found = self._code.argument(self._places[name])
        else:
            raise AttributeError(f"the argument block has no {name!r}")
        setattr(self, name, found)
        return found


def flag(code: Code, workspace: Pointer) -> Pointer:
    """Return where this thread's flag is in a guarded workspace."""
    return workspace.cast("i64") + code.thread


def rounded(elements: int) -> int:
    """Return float32 elements rounded up to 64 bytes, a cache line."""
    return -(-elements // 16) * 16
