"""What was found for calls, so that the next of their kind are look-ups."""

import os
from collections.abc import Hashable
from typing import Any, ClassVar, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

LIMIT = 8192  # calls that a memo remembers; then it forgets all


class Memo(dict[Key, Value]):
    """A dictionary that forgets all when it is full.

    A forked child forgets what its parent knew: it has no team of threads, and plans anew.
    """

    every: ClassVar[list["Memo[Any, Any]"]] = []

    def __init__(self) -> None:
        super().__init__()
        Memo.every.append(self)

    def note(self, key: Key, value: Value) -> None:
        """Remember what was found for a call."""
        if len(self) >= LIMIT:
            self.clear()
        self[key] = value


def forget() -> None:
    """Forget all calls."""
    for memo in Memo.every:
        memo.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)
