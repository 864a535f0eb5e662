"""Ours or theirs: the one place that decides whose kernel runs, and says why."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

Implementation = Callable[..., Any]

OUR_DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True)
class Choice:
    """Whose implementation of an operation runs, and the sentence that says why.

    Attributes:
        ours: A kernel of this library runs; otherwise torch's own operator does.
        reason: One sentence for people.
        run: The implementation.
    """

    ours: bool
    reason: str
    run: Implementation = field(repr=False)

    def __str__(self) -> str:
        """Return the choice as one line: whose, and why."""
        return f"{'ours' if self.ours else 'theirs'}: {self.reason}"


_theirs: dict[str, Implementation] = {}
_ours: dict[str, Implementation] = {}
_first: dict[str, Implementation] = {}


def set_theirs(operation: str, implementation: Implementation) -> None:
    """Register what runs where no kernel of ours does: torch's operator under our semantics."""
    _theirs[operation] = implementation


def set_ours(operation: str, implementation: Implementation | None) -> None:
    """Register a kernel of ours for `operation` on the CPU, or take it back with None.

    It is called with the operator's arguments and must return what the operator returns.
    """
    if implementation is None:
        _ours.pop(operation, None)
    else:
        _first.setdefault(operation, implementation)
        _ours[operation] = implementation


def unchanged(operation: str) -> bool:
    """Say whether the kernel of an operation is the one that came first, this library's own."""
    return operation in _ours and _ours[operation] is _first[operation]


def runner(operation: str, tensor: torch.Tensor) -> Implementation:
    """Return what `choose` would run, without the words."""
    if tensor.is_cpu and tensor.dtype in OUR_DTYPES and operation in _ours:
        return _ours[operation]
    return _theirs[operation]


def choose(operation: str, tensor: torch.Tensor) -> Choice:
    """Choose the implementation of an operation for one call.

    Args:
        operation: Name of an operator in `torch.ops.faltung`, such as "conv2d".
        tensor: The first tensor argument of the call.

    Returns:
        The choice; `str(choice)` is the printable sentence.

    Raises:
        KeyError: There is no such operation.
    """
    theirs = _theirs[operation]
    if tensor.device.type != "cpu":
        where = f"the tensors are on {tensor.device}, our kernels are for the CPU"
        return Choice(ours=False, reason=f"{where}; torch's operator runs", run=theirs)
    if tensor.dtype not in OUR_DTYPES:
        what = str(tensor.dtype).removeprefix("torch.")
        reason = f"no kernel of ours computes in {what}; torch's operator runs"
        return Choice(ours=False, reason=reason, run=theirs)
    if operation not in _ours:
        reason = f"no kernel of ours is registered for {operation}; torch's operator runs"
        return Choice(ours=False, reason=reason, run=theirs)
    return Choice(ours=True, reason=f"a kernel of ours computes {operation}", run=_ours[operation])
