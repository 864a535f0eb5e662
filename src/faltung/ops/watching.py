"""Whether anything wants to see the operators that run, or only their results count."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import _C, Tensor
from torch.autograd import forward_ad

from faltung import accuracy

_OWN = {"ieee": "highest", "tf32": "high", "bf16": "medium"}
_asked: Callable[[str, str], str] = getattr(_C, "_get_fp32_precision_getter", lambda *_: "none")
PLAIN = (Tensor, torch.nn.Parameter)


def transformed() -> bool:
    """Say whether a functorch transform or forward-mode differentiation is under way."""
    return bool(_C._are_functorch_transforms_active() or forward_ad._current_level >= 0)


def watched() -> bool:
    """Say whether a mode, a transform, autocast or a tracer is at work."""
    return bool(
        _C._len_torch_dispatch_stack()
        or _C._is_torch_function_mode_enabled()
        or _C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or _C._is_any_autocast_enabled()
        or _C._get_tracing_state()
    )


def plain(arguments: Iterable[Any]) -> tuple[bool, bool]:
    """Say whether all tensors are torch's own on the CPU, and whether one requires a gradient.

    A batch of gradients comes as tensors without memory of their own: they are not.
    """
    gradient = False
    for argument in arguments:
        if isinstance(argument, Tensor):
            if type(argument) not in PLAIN or not argument.is_cpu or not _C._has_storage(argument):
                return False, False
            gradient = gradient or argument.requires_grad
    return True, gradient


def float32_precision() -> str:
    """Return what float32 means in convolutions: "highest", "high" or "medium".

    A block `with faltung.precision(…)` counts first; then, where it says anything,
    `torch.backends.mkldnn.conv.fp32_precision` ("ieee", "tf32" or "bf16"); then
    `torch.get_float32_matmul_precision()`. Where other settings of the newer kind contradict that
    one, torch refuses to read it, and it is "highest".
    """
    here = accuracy.asked()
    if here is not None:
        return here
    own = _OWN.get(_asked("mkldnn", "conv"))
    if own is not None:
        return own
    try:
        setting: str = _C._get_float32_matmul_precision()
    except RuntimeError:
        return "highest"
    return setting
