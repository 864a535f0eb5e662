"""Registration of operators with `torch.library`, the same way for every one of them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from faltung.geometry import Window
from faltung.ops import seam
from faltung.ops.watching import plain, transformed, watched

LIBRARY = torch.library.Library("faltung", "DEF")
AUTOCAST_KEYS = {"cpu": "AutocastCPU", "cuda": "AutocastCUDA"}

Context = Any
Backward = Callable[..., tuple[Any, ...]]


def register(
    name: str,
    signature: str,
    *,
    theirs: Callable[..., Any],
    fake: Callable[..., Any],
    backward: Backward,
    setup_context: Callable[..., None],
    autocast: bool = False,
) -> Callable[..., Any]:
    """Define `torch.ops.faltung.<name>` and return it as a callable.

    Args:
        name: Name of the operator.
        signature: Its schema without the name, such as "(Tensor input) -> Tensor".
        theirs: Implementation from torch's own operators; runs on every device.
        fake: Shapes and strides of the result, without computing it.
        backward: Derivative, called as `backward(context, *gradients)`.
        setup_context: Keeps what `backward` needs, as in `torch.library.register_autograd`.
        autocast: Cast floating-point tensors to autocast's type where autocast is on.
    """
    LIBRARY.define(name + signature, tags=(torch.Tag.pt2_compliant_tag,))
    seam.set_theirs(name, theirs)

    def on_cpu(first: torch.Tensor, *arguments: Any) -> Any:
        return seam.runner(name, first)(first, *arguments)

    LIBRARY.impl(name, theirs, "CompositeExplicitAutograd")
    LIBRARY.impl(name, on_cpu, "CPU")
    full_name = f"faltung::{name}"
    torch.library.register_fake(full_name, fake, lib=LIBRARY)
    torch.library.register_autograd(full_name, backward, setup_context=setup_context, lib=LIBRARY)
    operator: Callable[..., Any] = getattr(torch.ops.faltung, name).default
    for device, key in AUTOCAST_KEYS.items():
        LIBRARY.impl(name, _without_autocast(operator, device, cast=autocast), key)

    derived = _derived(name, backward, setup_context)
    # Torch's `Function.apply` looks for wrappers that transforms left behind; none are `plain`.
    apply = super(torch.autograd.Function, derived).apply  # type: ignore[misc]
    tensors = signature.partition("->")[0].count("Tensor")  # they come before all numbers

    def call(*arguments: Any) -> Any:
        if torch.compiler.is_compiling():
            return operator(*arguments)
        if watched():
            # Derivatives registered from Python know neither functorch's transforms nor tangents;
            # torch's own operators know both.
            return theirs(*arguments) if transformed() else operator(*arguments)
        # Where nothing watches, the dispatcher's way through Python would cost 50 us and more.
        direct, gradient = plain(arguments[:tensors])
        if not direct:
            return operator(*arguments)
        if gradient and torch.is_grad_enabled():
            return apply(*arguments)
        return seam.runner(name, arguments[0])(*arguments)

    return call


def _derived(
    name: str, backward: Backward, setup_context: Callable[..., None]
) -> type[torch.autograd.Function]:
    """Return the operator on the CPU as a function that autograd knows."""

    def forward(ctx: Any, *arguments: Any) -> Any:
        # Torch would call `setup_context` itself, but binds all arguments by signature first.
        result = seam.runner(name, arguments[0])(*arguments)
        setup_context(ctx, arguments, result)
        return result

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(name, (torch.autograd.Function,), members)


def _without_autocast(
    operator: Callable[..., Any], device: str, *, cast: bool
) -> Callable[..., Any]:
    """Return `operator` for autocast: arguments are cast once, nothing inside is cast again."""

    def run(*arguments: Any) -> Any:
        dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            return operator(*(_cast(a, dtype) for a in arguments) if cast else arguments)

    return run


def _cast(argument: Any, dtype: torch.dtype) -> Any:
    """Cast a tensor that torch's autocast would cast: floating point, but not float64."""
    if not isinstance(argument, torch.Tensor) or not argument.is_floating_point():
        return argument
    return argument if argument.dtype == torch.float64 else argument.to(dtype)


def is_channels_last(tensor: torch.Tensor) -> bool:
    """Say whether torch would treat a 4-D tensor as `channels_last`, judging by order of strides.

    Source: `is_channels_last_strides_2d` in PyTorch's `c10/core/MemoryFormat.h`.
    """
    if tensor.dim() != 4 or tensor.stride(1) == 0:
        return False
    least = 0
    for axis in (1, 3, 2, 0):
        stride = tensor.stride(axis)
        if tensor.size(axis) == 0 or stride < least:
            return False
        if axis == 0 and least == tensor.stride(1):
            return False
        least = stride * max(tensor.size(axis), 1)
    return True


def memory_format(*tensors: torch.Tensor) -> torch.memory_format:
    """Return the format of a result: `channels_last` where an operand is (torch's rule)."""
    if any(is_channels_last(tensor) for tensor in tensors):
        return torch.channels_last
    return torch.contiguous_format


def laid_out(gradient: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """Return the gradient of a result in the memory format of the operands, as torch's rule is.

    Whatever is made of it then has that format too.
    """
    if memory_format(gradient) is layout:
        return gradient
    return torch.empty_like(gradient, memory_format=layout).copy_(gradient)


def incoming(gradient: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    """Return a gradient that comes to a derivative `laid_out`; a transform's stay as they are."""
    return gradient if transformed() else laid_out(gradient, layout)


def empty(like: torch.Tensor, shape: Sequence[int], layout: torch.memory_format) -> torch.Tensor:
    """Return an uninitialised tensor with the type and device of `like`."""
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)


def slid(
    x: torch.Tensor, channels: int, over: tuple[Window, Window], *operands: torch.Tensor
) -> torch.Tensor:
    """Return what windows over `x` fill: an uninitialised tensor of so many channels.

    Its memory format is that of `x` and the other operands.
    """
    lengths = (window.output(n) for window, n in zip(over, x.shape[2:], strict=True))
    return empty(x, (x.shape[0], channels, *lengths), memory_format(x, *operands))
