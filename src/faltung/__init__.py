"""Faltung: the 2-D convolutional layer, complete, for PyTorch."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from faltung import errors
from faltung.errors import FaltungError

if TYPE_CHECKING:
    from faltung import functional, geometry, nn

__version__ = "0.1.0"

__all__ = ["FaltungError", "__version__", "errors", "functional", "geometry", "nn"]


def __getattr__(name: str) -> ModuleType:
    """Import a public module when it is first asked for: torch takes seconds, `--help` should not.

    Raises:
        AttributeError: There is no such public name.
    """
    if name not in __all__:
        raise AttributeError(f"module 'faltung' has no attribute {name!r}")
    return importlib.import_module(f"faltung.{name}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
