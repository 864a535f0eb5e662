"""`correlate2d` and `convolve2d` against SciPy and the definitions: arrays, tensors, all modes."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st

import oracle
from comparing import assert_exact, tensor
from faltung import functional as F
from strategies import integers, suite

Mode = Literal["valid", "same", "full"]
MODES: list[Mode] = ["valid", "same", "full"]
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "correlate2d": (F.correlate2d, scipy.signal.correlate2d, oracle.correlate2d),
    "convolve2d": (F.convolve2d, scipy.signal.convolve2d, oracle.convolve2d),
}
sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))


def fits(image: tuple[int, int], kernel: tuple[int, int], mode: Mode) -> bool:
    """Say whether the operation is legal: "valid" needs a kernel that lies inside the image."""
    return mode != "valid" or (kernel[0] <= image[0] and kernel[1] <= image[1])


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
@suite
@given(image=sizes, kernel=sizes, seed=st.integers(0, 1000))
def test_scipy_and_the_definition_agree(
    operation: str, mode: Mode, image: tuple[int, int], kernel: tuple[int, int], seed: int
) -> None:
    if not fits(image, kernel, mode):
        kernel = min(image[0], kernel[0]), min(image[1], kernel[1])
    ours, scipys, definition = OPERATIONS[operation]
    x, w = integers(seed, image), integers(seed + 1, kernel)
    y = ours(x, w, mode)
    assert isinstance(y, np.ndarray)
    assert_exact(y, definition(x, w, mode))
    assert_exact(y, scipys(x, w, mode))
    assert_exact(ours(tensor(x), tensor(w), mode), y)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kernel", [(2, 2), (3, 4), (1, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "i8", "f4", "f8"])
def test_element_types_are_kept(
    operation: str, mode: Mode, kernel: tuple[int, int], dtype: str
) -> None:
    ours, scipys, _ = OPERATIONS[operation]
    x = np.abs(integers(1, (6, 7), 2)).astype(dtype)
    w = np.abs(integers(2, kernel, 2)).astype(dtype)
    y = ours(x, w, mode)
    assert y.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(y, scipys(x, w, mode))
    from_tensors = ours(torch.from_numpy(x), torch.from_numpy(w), mode)
    assert from_tensors.dtype == torch.from_numpy(x).dtype
    np.testing.assert_array_equal(from_tensors.numpy(), y)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_arrays_are_scipys(operation: str, mode: Mode, dtype: str) -> None:
    ours, scipys, _ = OPERATIONS[operation]
    x = (integers(1, (6, 7)) + 1j * integers(2, (6, 7))).astype(dtype)
    w = (integers(3, (2, 3)) + 1j * integers(4, (2, 3))).astype(dtype)
    y = ours(x, w, mode)
    assert y.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(y, scipys(x, w, mode))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_arrays_of_any_strides_and_byte_order_are_taken_and_left_alone(operation: str) -> None:
    ours, scipys, _ = OPERATIONS[operation]
    x, w = integers(1, (12, 7)), integers(2, (3, 3))
    for strange in (x[::-2], x.T, np.asfortranarray(x), x.astype(">f8")):
        strange.setflags(write=False)
        before = strange.copy()
        np.testing.assert_array_equal(ours(strange, w[::-1]), scipys(strange, w[::-1], "valid"))
        np.testing.assert_array_equal(strange, before)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("mode", MODES)
def test_gradients_reach_image_and_kernel(operation: str, mode: Mode) -> None:
    ours = OPERATIONS[operation][0]
    x = tensor(integers(1, (4, 5))).requires_grad_()
    w = tensor(integers(2, (2, 3))).requires_grad_()
    assert torch.autograd.gradcheck(lambda image, kernel: ours(image, kernel, mode), (x, w))
