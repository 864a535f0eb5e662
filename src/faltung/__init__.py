"""Faltung: the 2-D convolutional layer, complete, for PyTorch."""

from faltung import errors, functional, geometry, nn
from faltung.errors import FaltungError

__version__ = "0.1.0"

__all__ = ["FaltungError", "__version__", "errors", "functional", "geometry", "nn"]
