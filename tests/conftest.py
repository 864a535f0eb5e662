"""Fixtures for all tests."""

from pathlib import Path

import pytest

SHARED_MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"


@pytest.fixture(scope="session")
def shared_mnist() -> Path:
    """Return a folder with MNIST's four files, or skip where it is not beside the checkout."""
    if not SHARED_MNIST.is_dir():
        pytest.skip("MNIST does not lie in ../shared/data/mnist beside this checkout")
    return SHARED_MNIST
