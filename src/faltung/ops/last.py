"""The last call of each layer and size of image: the next one mostly asks for the same again.

Torch's compiler has guards that compare types, sizes, strides, element types, devices, whether
tensors require gradients and what the dispatcher does, in a fraction of the time that it takes to
ask for them one by one. They know neither the number of threads nor the accuracy, which are
compared beside them, nor whether gradients are enabled. To make a guard takes longer than to ask,
so that it is made where a call comes again, and not many times for one layer.
"""

from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import _C, Tensor

from faltung.ops.memo import Memo
from faltung.ops.watching import float32_precision

Found = TypeVar("Found")

_Guard: Any = getattr(getattr(getattr(_C, "_dynamo", None), "guards", None), "TensorGuards", None)


MOST = 4  # guards that are made for a key, one after the other


class Last(Generic[Found]):
    """What was found for the last call of each key."""

    def __init__(self) -> None:
        self._seen = Memo[Hashable, tuple[Any, int, str, Any, Found, int]]()

    def find(
        self, key: Hashable, tensors: Sequence[Tensor]
    ) -> tuple[tuple[Any, ...], Found] | None:
        """Return the other arguments of the last such call, a tuple, and what was found for it.

        None where its tensors differed in more than their elements and addresses, where torch's
        dispatcher was in another state, or where the number of threads or the accuracy was another.

        Args:
            key: What tells apart the calls that are made in turn, and the number of their tensors.
            tensors: The tensors of the call.
        """
        seen = self._seen.get(key)
        if seen is None:
            return None
        holds, threads, precision, arguments, found, _ = seen
        if not holds(*tensors):
            return None
        if threads != torch.get_num_threads() or precision != float32_precision():
            return None
        return arguments, found

    def note(
        self, key: Hashable, tensors: Sequence[Tensor], arguments: Sequence[Any], found: Found
    ) -> None:
        """Note what was found for a call, and its arguments besides tensors."""
        seen = self._seen.get(key)
        made = 0 if seen is None else seen[-1] + 1
        if _Guard is None or made > MOST:
            return
        holds = _never
        if made:
            holds = _Guard(*tensors, dynamic_dims_sizes=None, dynamic_dims_strides=None).check
        facts = (torch.get_num_threads(), float32_precision())
        self._seen.note(key, (holds, *facts, _own(arguments), found, made))


def _own(arguments: Sequence[Any]) -> tuple[Any, ...]:
    """Return a copy of arguments whose lists nobody else can change."""
    return tuple(a.copy() if isinstance(a, list) else a for a in arguments)


def _never(*_: Tensor) -> bool:
    """Stand in for the guard of a call that came once."""
    return False
