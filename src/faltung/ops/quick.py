"""Calls that were checked before: the same shapes, types and arguments are not checked again."""

from collections.abc import Callable
from operator import is_
from typing import Any

import torch
from torch import _C, Tensor

from faltung.ops import convolution, ours, ours_pooling, pooling, seam
from faltung.ops.last import Last
from faltung.ops.memo import Memo
from faltung.ops.watching import PLAIN, float32_precision, watched

CONSTANT = {int, bool, float, str, type(None)}

VALUES = {f"{kind}_pool2d": f"{kind}_pool2d_values" for kind in ("max", "min")}
VALUES["avg_pool2d"] = "avg_pool2d"  # the operators that make no positions

Key = tuple[Any, ...]

_known = Memo[Key, tuple[Any, ...]]()
_convolutions = Memo[Key, tuple[Any, ...]]()
_pools = Memo[Key, tuple[Any, ...]]()
_last = Last[tuple[Any, ...]]()


def key_of(operation: str, tensors: tuple[Tensor | None, ...], written: Key) -> Key | None:
    """Return all that the checks of a call look at, or None where they must look themselves."""
    parts: list[Any] = [operation, written, _types(written)]
    for t in tensors:
        if t is None:
            parts.append(None)
        elif type(t) in PLAIN:
            parts += (t.shape, t.dtype, t.device, t.layout)
        else:
            return None
    return tuple(parts)


def _types(written: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the types of arguments: 1, 1.0 and True are equal, and not all are accepted.

    Raises:
        TypeError: One may change while it stays the same object, as a tensor of one element may.
    """
    kinds = tuple(map(type, written))
    if CONSTANT.issuperset(kinds):
        return kinds
    found: list[Any] = []
    for a in written:
        kind: Any = type(a)
        if kind is tuple:
            kind = _types(a)
        elif kind not in CONSTANT:
            raise TypeError
        found.append(kind)
    return tuple(found)


def resolved(
    operation: str, tensors: tuple[Tensor | None, ...], written: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    """Return what the arguments of a call came to when it was checked before, or None."""
    if torch.compiler.is_compiling() or _C._is_any_autocast_enabled():
        return None  # autocast accepts types that differ
    try:
        return _known.get(key_of(operation, tensors, written))  # type: ignore[arg-type]
    except TypeError:
        return None  # lists, or what is no number at all: the checks have words for it


def remember(
    operation: str,
    tensors: tuple[Tensor | None, ...],
    written: tuple[Any, ...],
    found: tuple[Any, ...],
) -> None:
    """Note that a call was correct, and what its arguments came to."""
    if torch.compiler.is_compiling() or _C._is_any_autocast_enabled():
        return
    key = _hashed(key_of, operation, tensors, written)
    if key is not None:
        _known.note(key, found)


def _hashed(make: Callable[..., Key | None], *about: Any) -> Key | None:
    """Return a key made of a call, or None where a key cannot tell such calls apart."""
    try:
        key = make(*about)
        hash(key)
    except (TypeError, AttributeError, RuntimeError):
        return None
    return key


def conv2d(x: Tensor, w: Tensor, bias: Tensor | None, written: tuple[Any, ...]) -> Tensor | None:
    """Return the convolution of a call that was made before, or None.

    Where no gradient is wanted and nothing watches, it is a look-up and the kernel.
    """
    try:
        found = _convolution(x, w, bias, written)
    except (TypeError, AttributeError, RuntimeError):
        return None  # arguments that are no plain tensors and numbers: the checks have words
    if found is None:
        return None
    resolved, known = found
    gradient = x.requires_grad or w.requires_grad or (bias is not None and bias.requires_grad)
    wanted = gradient and torch.is_grad_enabled()
    if known is not None and not (wanted or watched()) and seam.unchanged("conv2d"):
        y = ours.convolved(known, x, w, bias)
        if y is not None:
            return y
    done: Tensor = convolution.conv2d(x, w, bias, *resolved)
    return done


def _convolution(
    x: Tensor, w: Tensor, bias: Tensor | None, written: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    """Return what is noted for a convolution, if anything is."""
    tensors = (x, w) if bias is None else (x, w, bias)
    about = (id(w), x.shape, len(tensors))
    last = _last.find(about, tensors)
    if last is not None and all(map(is_, last[0], written)):  # 1 and True are equal, not the same
        return last[1]
    key = _conv_key(x, w, bias, written)
    found = _convolutions.get(key) if key is not None else None
    if found is not None:
        _last.note(about, tensors, written, found)
    return found


def pool(operation: str, x: Tensor, written: tuple[Any, ...]) -> Tensor | None:
    """Return the values of a pool that was called before, or None; see `conv2d`.

    Args:
        operation: "max_pool2d", "min_pool2d" or "avg_pool2d".
        x: The input.
        written: The arguments of the call, as written.
    """
    try:
        found = _pool(operation, x, written)
    except (TypeError, AttributeError, RuntimeError):
        return None  # arguments that are no plain tensors and numbers: the checks have words
    if found is None:
        return None
    resolved, known = found
    if known is not None and not watched() and seam.unchanged(VALUES[operation]):
        y = ours_pooling.pooled(known, x)
        if y is not None:
            return y
    return pool_values(operation, x, resolved)


def _wanted(x: Tensor) -> bool:
    """Say whether a gradient by this tensor is wanted."""
    return x.requires_grad and torch.is_grad_enabled()


def pool_values(operation: str, x: Tensor, resolved: tuple[Any, ...]) -> Tensor:
    """Return what a pool makes without positions, which it finds only where a gradient needs them.

    Args:
        operation: "max_pool2d", "min_pool2d" or "avg_pool2d".
        x: The input.
        resolved: The other arguments of the operator.
    """
    y = getattr(pooling, operation if _wanted(x) else VALUES[operation])(x, *resolved)
    return y if isinstance(y, Tensor) else y[0]


def _pool(operation: str, x: Tensor, written: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return what is noted for a pool, if anything is."""
    about = (operation, x.shape, written[0], _wanted(x))
    last = _last.find(about, (x,))
    if last is not None and all(map(is_, last[0], written)):
        return last[1]
    key = _pool_key(operation, x, written)
    found = _pools.get(key) if key is not None else None
    if found is not None:
        _last.note(about, (x,), written, found)
    return found


def remember_pool(
    operation: str, x: Tensor, written: tuple[Any, ...], resolved: tuple[Any, ...]
) -> None:
    """Note that a pool was correct, and which call computes its values in this memory format."""
    if torch.compiler.is_compiling() or watched():
        return
    key = _hashed(_pool_key, operation, x, written)
    if key is None:
        return
    known = None
    if x.is_cpu and not _wanted(x) and operation == "avg_pool2d":
        known = ours_pooling.known_avg(x, resolved)
    elif x.is_cpu and not _wanted(x):
        known = ours_pooling.known_extreme(operation[:3], x, resolved)
    _pools.note(key, (resolved, known))


def _pool_key(operation: str, x: Tensor, written: tuple[Any, ...]) -> tuple[Any, ...] | None:
    if type(x) not in PLAIN or not _C._has_storage(x):
        return None
    return (
        operation, x.shape, x.is_contiguous() or x.stride(), x.is_cpu or x.device, x.dtype, written,
        _types(written), torch.get_num_threads(), _wanted(x),
    )  # fmt: skip


def _conv_key(
    x: Tensor, w: Tensor, bias: Tensor | None, written: tuple[Any, ...]
) -> tuple[Any, ...] | None:
    kind = x.dtype
    if type(x) not in PLAIN or type(w) not in PLAIN or w.dtype is not kind:
        return None
    if not (_C._has_storage(x) and _C._has_storage(w)):
        return None
    about: Any = None
    if bias is not None:
        if type(bias) not in PLAIN or bias.dtype is not kind or not bias.is_contiguous():
            return None
        about = (bias.shape, bias.is_cpu)
    return (
        x.shape, x.is_contiguous() or x.stride(), x.is_cpu or x.device,
        w.shape, w.is_contiguous() or w.stride(), w.is_cpu or w.device,
        about, kind, written, _types(written), torch.get_num_threads(), float32_precision(),
    )  # fmt: skip


def remember_conv2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    written: tuple[Any, ...],
    resolved: tuple[Any, ...],
) -> None:
    """Note that a convolution was correct, and what its arguments came to."""
    if x.layout is not torch.strided or w.layout is not torch.strided:
        return
    key = _hashed(_conv_key, x, w, bias, written)
    if key is None:
        return
    known = None
    if x.is_cpu and w.is_cpu and (bias is None or bias.is_cpu):
        known = ours.known_conv2d(x, w, bias, resolved)
    _convolutions.note(key, (resolved, known))
