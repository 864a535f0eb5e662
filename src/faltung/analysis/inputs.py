"""The input of an analysis: tensors, or shapes that become tensors."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from faltung.errors import ArgumentError, ModelError
from faltung.functional.arguments import whole

Input: TypeAlias = Tensor | Sequence[Any]

SEED = 5
WINDOWED = ("Conv2d", "Pool2d", "ConvTranspose2d", "BatchNorm2d")


def tensors(model: torch.nn.Module, given: Input) -> tuple[Tensor, ...]:
    """Return the arguments of the model's forward.

    Args:
        model: Its first floating-point parameter says the element type and the device.
        given: A tensor, or sizes such as (1, 28, 28), which becomes a batch of one, or
            (8, 1, 28, 28); or several of them. Sizes become random numbers of [0, 1).

    Raises:
        ModelError: model is no `torch.nn.Module` or scripted, or its parameters are not made yet.
        ArgumentError: given is none of these, or an image has no channels.
    """
    if not isinstance(model, torch.nn.Module):
        raise ModelError(
            f"model is a {type(model).__name__}: it must be a torch.nn.Module; wrap a function in "
            f"one, whose forward calls it"
        )
    if any(isinstance(layer, torch.jit.ScriptModule) for layer in model.modules()):
        raise ModelError("model is scripted: analyse the torch.nn.Module that it was made from")
    if any(is_lazy(parameter) for parameter in model.parameters()):
        raise ModelError(
            "model has layers that take their sizes from their first input: call it once before"
        )
    if isinstance(given, Tensor):
        return (given,)
    if not isinstance(given, (tuple, list, torch.Size)) or not given:
        raise ArgumentError(
            f"input is {given!r}: it must be a tensor, or sizes such as (1, 28, 28), or several of "
            f"them"
        )
    if any(isinstance(part, (Tensor, tuple, list, torch.Size)) for part in given):
        return tuple(
            part if isinstance(part, Tensor) else _random(model, part, f"input[{number}]")
            for number, part in enumerate(given)
        )
    return (_random(model, given, "input"),)


def _random(model: torch.nn.Module, sizes: Any, name: str) -> Tensor:
    if not isinstance(sizes, (tuple, list, torch.Size)):
        raise ArgumentError(
            f"{name} is {sizes!r}: it must be a tensor, or sizes such as (1, 28, 28)"
        )
    numbers = tuple(whole(f"{name}[{at}]", size, 1) for at, size in enumerate(sizes))
    windowed = any(type(layer).__name__.endswith(WINDOWED) for layer in model.modules())
    if len(numbers) < 2 or (len(numbers) == 2 and windowed):
        raise ArgumentError(
            f"{name} is {shown(numbers)}: an image has channels, height and width; write "
            f"{shown((1, *numbers))} for one channel"
            if len(numbers) == 2
            else f"{name} is {shown(numbers)}: write channels, height and width, such as 1x28x28"
        )
    shape = (1, *numbers) if len(numbers) == 3 else numbers
    dtype, device = _home(model)
    generator = torch.Generator().manual_seed(SEED)
    try:
        return torch.rand(shape, generator=generator).to(device, dtype)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ArgumentError(
            f"{name} is {shown(numbers)}: no tensor of that size can be made ({reason}); use a "
            f"smaller one"
        ) from None


def _home(model: torch.nn.Module) -> tuple[torch.dtype, torch.device]:
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.dtype, parameter.device
    return torch.get_default_dtype(), torch.device("cpu")


def shown(shape: Sequence[int]) -> str:
    """Return sizes as the tables show them.

    >>> shown((1, 3, 224, 224))
    '1x3x224x224'
    """
    return "x".join(map(str, shape)) or "1"


def parsed(text: str) -> tuple[int, ...]:
    """Return the sizes that a text such as 1x28x28 states.

    Raises:
        ArgumentError: It states none.
    """
    parts = text.lower().replace(",", "x").replace("\u00d7", "x").split("x")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ArgumentError(
            f"--input is {text!r}: write whole sizes with x between them, such as 1x28x28 "
            f"(channels, height, width) or 8x1x28x28 (a batch of 8)"
        )
    return tuple(int(part) for part in parts)
