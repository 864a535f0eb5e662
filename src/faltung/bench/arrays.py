"""What other libraries need: NumPy's arrays, and words where one is not installed."""

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faltung.bench.layer import Layer
from faltung.bench.task import Parts

Array = np.ndarray[Any, Any]


def missing(package: str) -> str | None:
    """Return None where a package can be imported, otherwise a sentence."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            return f'{package} is not installed: pip install "faltung[bench]"'
        return f"{package} cannot be imported: {error}"
    return None


def numbers(tensor: Tensor) -> Array:
    """Return the elements of a tensor, as float32: NumPy has no bfloat16."""
    return tensor.float().numpy()


def read(array: Any) -> Parts:
    """Return the tensor of an array that a library gave."""
    return (torch.from_numpy(np.array(array, dtype=np.float32)),)


def grouped(layer: Layer, weight: Array) -> Array:
    """Return a weight (G, channels / G, …), groups apart."""
    return weight.reshape(layer.groups, -1, *weight.shape[1:])
