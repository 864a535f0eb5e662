"""The switch: torch's own convolutions and pools run through the kernels of this library.

While it is on, torch's operators for the CPU run our kernel where `faltung.ops.choose` has one. Any
other call reaches torch's own kernel with the arguments it came with, so that results and errors
are torch's: other types or dimensions, empty tensors, subclasses, whatever torch would reject.

Switching off takes the overrides out of torch's dispatcher. Its table must not change under a call:
where there are other threads the overrides stay and hand calls on, until it goes off without them.
"""

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from faltung.errors import MissingExtraError
from faltung.geometry import windows
from faltung.ops import Choice, again, choose, replays
from faltung.ops.registry import laid_out, memory_format
from faltung.ops.watching import PLAIN

Ints = list[int]
Theirs = Callable[..., Any]


def _plain(*tensors: Tensor, dims: int = 4) -> bool:
    """Say whether these are what our kernels read: dense, on the CPU, of one type, not empty."""
    wanted = (dims, tensors[0].dtype, "cpu", torch.strided)
    return all(
        type(t) in PLAIN and t.numel() and (t.dim(), t.dtype, t.device.type, t.layout) == wanted
        for t in tensors
    )


def _sides(padding: Ints) -> Ints:
    """Return torch's padding (height, width) as top, bottom, left, right."""
    return [padding[0], padding[0], padding[1], padding[1]]


def _windows(size: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil: bool = False) -> Any:
    """Return the windows along height and width, or None where a number is not within its rule."""
    pairs = all(len(numbers) == 2 for numbers in (size, stride, padding, dilation))
    if not pairs or min(*size, *stride, *dilation) < 1 or min(padding) < 0:
        return None
    return windows(size, stride, _sides(padding), dilation, ceil)


def _run(choice: Choice, *arguments: Any) -> Any:
    """Run our kernel; autocast has done its part before, nothing inside is cast again."""
    cast = torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", enabled=False) if cast else nullcontext():
        return choice.run(*arguments)


def _convolved(x: Tensor, w: Tensor, geometry: Sequence[Any]) -> tuple[int, ...] | None:
    """Return the shape of a convolution's result, or None where torch shall judge the call."""
    stride, padding, dilation, transposed, extra, groups = geometry
    over = _windows(list(w.shape[2:]), stride, padding, dilation)
    if over is None or len(extra) != 2 or groups < 1 or w.shape[0] % groups:
        return None
    channels, outputs = w.shape[1] * groups, w.shape[0]
    if transposed:
        channels, outputs = outputs, channels
        size = [v.inverse(n, e) for v, n, e in zip(over, x.shape[2:], extra, strict=True)]
    else:
        size = [v.output(n) for v, n in zip(over, x.shape[2:], strict=True)]
    odd = any(not 0 <= e < s for e, s in zip(extra, stride if transposed else (1, 1), strict=True))
    return None if odd or x.shape[1] != channels or min(size) < 1 else (len(x), outputs, *size)


def _convolution(theirs: Theirs, *arguments: Any) -> Any:
    """Compute `aten::convolution`, or `aten::_convolution`, whose last four concern cuDNN."""
    x, w, bias, *geometry = arguments[:9]
    stride, padding, dilation, transposed, _, groups = geometry
    called = ("convolution", (x, w) if bias is None else (x, w, bias), tuple(geometry))
    if (done := again.repeat(*called, id(w))) is not None:
        return done
    operation = "conv2d_input_gradient" if transposed else "conv2d"
    choice = choose(operation, x)
    if not choice.ours or not _plain(x, w) or (shape := _convolved(x, w, geometry)) is None:
        return theirs(*arguments)
    form = None if bias is None or not _plain(bias, dims=1) else (bias.dtype, bias.shape)
    if bias is not None and form != (x.dtype, shape[1:2]):
        return theirs(*arguments)
    resolved = (stride, _sides(padding), dilation, groups, False)
    size = list(shape[2:]) if transposed else None
    y = _run(choice, x, w, bias, *([size] if transposed else []), *resolved)
    plan = partial(replays.convolution, x, w, bias, size, resolved)
    again.note(*called, (operation,), plan)
    return y


def _convolution_backward(theirs: Theirs, *arguments: Any) -> Any:
    """Compute `aten::convolution_backward`, each gradient by our kernel where there is one."""
    dy, x, w, bias_sizes, *geometry, mask = arguments
    stride, padding, dilation, transposed, _, groups = geometry
    called = ("convolution_backward", (dy, x, w), arguments[3:])
    if (done := again.repeat(*called, id(w))) is not None:
        return done
    if not _plain(dy, x, w) or dy.shape != _convolved(x, w, geometry):
        return theirs(*arguments)
    windows = (stride, _sides(padding), dilation, groups, False)
    dy = laid_out(dy, memory_format(x, w))
    found: list[Tensor | None] = [None, None, None]
    operations = ("conv2d" if transposed else "conv2d_input_gradient", "conv2d_weight_gradient")
    choice = choose(operations[0], dy)
    if mask[0] and choice.ours:
        size = [] if transposed else [list(x.shape[2:])]
        found[0] = _run(choice, dy, w, None, *size, *windows)
    large, small = (dy, x) if transposed else (x, dy)
    choice = choose(operations[1], large)
    if mask[1] and choice.ours:
        with_bias = mask[2] and not transposed
        found[1], db = _run(choice, large, small, list(w.shape[2:]), *windows, with_bias)
        found[2] = db if with_bias else None
    missing = [want and got is None for want, got in zip(mask, found, strict=True)]
    if missing == [False, False, True] != mask:
        found[2], missing = dy.sum((0, 2, 3)), []
    if any(missing):
        rest = theirs(dy, x, w, bias_sizes, *geometry, missing)
        found = [b if a is None else a for a, b in zip(found, rest, strict=True)]
    else:
        plan = partial(replays.gradients, *called[1], mask, transposed, windows)
        again.note(*called, operations, plan)
    return tuple(found)


def _pooled(x: Tensor, size: Ints, stride: Ints, padding: Ints, rest: Sequence[Any]) -> Any:
    """Return the shape of a pool's result, or None where torch shall judge the call.

    The rest is (dilation, ceil) of a maximum, (ceil, count_include_pad, divisor) of a mean.
    """
    mean = len(rest) == 3
    dilation, ceil = ([1, 1], rest[0]) if mean else rest
    over = _windows(size, stride, padding, dilation, ceil)
    if over is None or (mean and rest[2] == 0) or any(2 * v.before > v.size for v in over):
        return None
    axes = list(zip(over, x.shape[2:], strict=True))
    if any(v.extent > n + 2 * v.before or v.blind(n) is not None for v, n in axes):
        return None
    return (*x.shape[:2], *(v.output(n) for v, n in axes))


def _pool(operation: str, defaults: tuple[Any, ...], theirs: Theirs, *arguments: Any) -> Any:
    """Compute `aten::max_pool2d_with_indices` or `aten::avg_pool2d`; torch leaves out defaults."""
    called = (operation, arguments[:1], arguments[1:])
    if (done := again.repeat(*called, tuple(arguments[1]))) is not None:
        return done
    x, size, stride, padding, *rest = (*arguments, *defaults[len(arguments) - 2 :])
    stride, choice = stride or size, choose(operation, x)
    if not choice.ours or not _plain(x) or _pooled(x, size, stride, padding, rest) is None:
        return theirs(*arguments)
    geometry = (size, stride, _sides(padding), *rest)
    y = _run(choice, x, *geometry)
    again.note(*called, (operation,), partial(replays.pool, operation, x, geometry))
    return y


def _pool_backward(operation: str, theirs: Theirs, *arguments: Any) -> Any:
    """Compute the backward of `_pool`: grad_output, as forward, and the indices of a maximum."""
    dy, x, size, stride, padding, *rest = arguments
    at = [rest.pop()] if operation == "extreme_pool2d_gradient" else []
    called = (operation, (dy, x, *at), (size, stride, padding, *rest))
    if (done := again.repeat(*called, tuple(size))) is not None:
        return done
    stride, choice = stride or size, choose(operation, dy)
    placed = all(_plain(a) and a.dtype == torch.int64 and a.shape == dy.shape for a in at)
    fits = choice.ours and placed and _plain(dy, x)
    if not fits or dy.shape != _pooled(x, size, stride, padding, rest):
        return theirs(*arguments)
    geometry = (size, stride, _sides(padding), *rest)
    dx = _run(choice, laid_out(dy, memory_format(x)), *at, list(x.shape[2:]), *geometry)
    plan = partial(replays.pool_gradient, dy, x, at[0] if at else None, geometry)
    again.note(*called, (operation,), plan)
    return dx


OVERRIDES: dict[str, Callable[..., Any]] = {
    "convolution": _convolution,
    "_convolution": _convolution,  # what traced models call
    "convolution_backward": _convolution_backward,
    "max_pool2d_with_indices": partial(_pool, "max_pool2d", ([], [0, 0], [1, 1], False)),
    "max_pool2d_with_indices_backward": partial(_pool_backward, "extreme_pool2d_gradient"),
    "avg_pool2d": partial(_pool, "avg_pool2d", ([], [0, 0], False, True, None)),
    "avg_pool2d_backward": partial(_pool_backward, "avg_pool2d_gradient"),
}


class _Switch:
    """The state of the process; of what open blocks `asked` for, the last is in force."""

    asked: ClassVar[dict[object, bool]] = {"outside of blocks": False}
    on = False
    library: torch.library.Library | None = None


_lock, _thread = threading.RLock(), threading.local()


def _override(kernel: Any, ours: Theirs, keys: torch._C.DispatchKeySet, *arguments: Any) -> Any:
    theirs = partial(kernel.call_boxed, keys)
    if getattr(_thread, "inside", False):  # what our kernels call of torch is torch's own
        return theirs(*arguments)
    _thread.inside = True
    try:
        return ours(theirs, *arguments) if _Switch.on else theirs(*arguments)
    finally:
        _thread.inside = False


def _install() -> torch.library.Library:
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning only once for all operators")  # it is meant
        for name, ours in OVERRIDES.items():
            kernel = torch.library.get_kernel(f"aten::{name}", "CPU")
            library.impl(name, partial(_override, kernel, ours), "CPU", with_keyset=True)
    return library


def _ask(on: bool | None, block: object = None) -> None:
    """Note what a block (None: the innermost) asks for, or that it ends (None), and do it."""
    if on and not hasattr(torch.library, "get_kernel"):
        raise MissingExtraError(
            f"torch is {torch.__version__}: the switch needs torch.library.get_kernel, which came "
            f"with torch 2.9; pip install 'torch>=2.9', or use faltung.functional and faltung.nn"
        )
    with _lock:
        block = block or next(reversed(_Switch.asked))
        _Switch.asked[block] = bool(on)
        if on is None:
            del _Switch.asked[block]
        _Switch.on = next(reversed(_Switch.asked.values()))
        alone = threading.active_count() == 1 and not getattr(_thread, "inside", False)
        if _Switch.on and _Switch.library is None:
            _Switch.library = _install()
        elif _Switch.library is not None and not _Switch.on and alone:
            _Switch.library._destroy()
            _Switch.library = None


def enable() -> None:
    """Run torch's convolutions and pools for the CPU through the kernels of this library.

    Raises:
        MissingExtraError: This torch cannot hand out its own kernels; the message says since when.
    """
    _ask(True)


def disable() -> None:
    """Let torch's own kernels run again."""
    _ask(False)


def is_enabled() -> bool:
    """Return whether the switch is on."""
    return _Switch.on


@contextmanager
def enabled() -> Iterator[None]:
    """Switch on inside a `with` block; leaving it in any way restores what was before.

    Blocks nest, and overlap in threads: what the last one begun asks for is in force.
    It raises what `enable` raises.
    """
    block = object()
    try:
        _ask(True, block)
        yield
    finally:
        _ask(None, block)
