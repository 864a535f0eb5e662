"""Fixtures for all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

MEASURED = {f"test_{name}" for name in (
    "again", "compile", "conv2d", "errors", "fused", "geometry", "kept", "layers", "limits",
    "local2d", "padding_modes", "pooling", "seeds", "settings",
)}  # fmt: skip
"""Tests of what coverage measures; tracing the others takes up to half of their time more."""

SHARED_MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Trace no test that is not needed to reach all lines, nor those that repeat themselves."""
    for item in items:
        repeats = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if item.path.stem not in MEASURED or repeats:
            item.add_marker(pytest.mark.no_cover)


@pytest.fixture(scope="session", autouse=True)
def _nothing_compiled_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep torch's compiler from what it made for other versions of the operators."""
    folder = str(tmp_path_factory.mktemp("inductor"))
    with mock.patch.dict(os.environ, TORCHINDUCTOR_CACHE_DIR=folder):
        yield


@pytest.fixture
def anew() -> Iterator[None]:
    """Forget calls that were planned before the test, and those that it plans."""
    from faltung.ops.memo import forget

    forget()
    yield
    forget()


@pytest.fixture(scope="session")
def shared_mnist() -> Path:
    """Return a folder with MNIST's four files, or skip where it is not beside the checkout."""
    if not SHARED_MNIST.is_dir():
        pytest.skip("MNIST does not lie in ../shared/data/mnist beside this checkout")
    return SHARED_MNIST
