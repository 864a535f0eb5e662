"""Models as pictures run them: in evaluation mode, on one image."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from faltung.errors import ModelError
from faltung.pictures.planes import numbers


def batch_for(model: torch.nn.Module, image: Any) -> Tensor:
    """Return an image (C, H, W), or a batch of one, as a model takes it: (1, C, H, W).

    Element type and device are those of the model's first floating-point parameter.

    Raises:
        ModelError: model is no `torch.nn.Module`.
        ShapeError: The image has other axes.
        DtypeError: It holds no real numbers.
    """
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"model is a {type(model).__name__}: it must be a torch.nn.Module")
    given = image[0] if isinstance(image, Tensor) and image.dim() == 4 else image
    x = numbers("image", given, 3)[None]
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return x.to(parameter.device, parameter.dtype)
    return x.to(torch.get_default_dtype())


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode, then give every part of it its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
