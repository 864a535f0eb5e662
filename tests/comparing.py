"""How results are compared: bit for bit, or within a bound that is written here once."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

ROUNDINGS = 8
"""How many machine epsilons of the sum of absolute products a sum may be off."""


def tensor(array: Array | Indices, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a tensor of that type with the array's values."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype)


def optional(array: Array | None, dtype: torch.dtype = torch.float64) -> Tensor | None:
    """Return a tensor of that type, or None for None."""
    return None if array is None else tensor(array, dtype)


def assert_exact(actual: Tensor | Array | Indices, expected: Array | Indices) -> None:
    """Assert the same shape and the same values, NaN equal to NaN."""
    values = actual.detach().numpy() if isinstance(actual, Tensor) else actual
    np.testing.assert_array_equal(values, expected)
    assert values.shape == expected.shape


def assert_sums(actual: Tensor, expected: Array, magnitude: Array) -> None:
    """Assert that every cell is within the rounding error of a sum of products.

    A sum of n products in floating point, added in any order, is off by at most
    `n * u * sum |x||w|` with u the unit roundoff (N. Higham, "Accuracy and Stability of Numerical
    Algorithms", section 3.1). The sums of the suite have some fifty terms, whose errors grow like a
    random walk, so that `ROUNDINGS * eps * sum |x||w|` is held with room to spare.

    Args:
        actual: The result of any floating-point type.
        expected: The definition in float64.
        magnitude: The definition on absolute values: `sum |x||w| + |bias|` of every cell.
    """
    assert tuple(actual.shape) == expected.shape
    bound = ROUNDINGS * torch.finfo(actual.dtype).eps * magnitude
    error = np.abs(actual.detach().double().numpy() - expected)
    assert np.all(error <= bound), f"off by {np.max(error - bound)} more than rounding explains"
