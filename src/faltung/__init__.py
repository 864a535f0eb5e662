"""Faltung: the 2-D convolutional layer, complete, for PyTorch."""

import importlib
from typing import TYPE_CHECKING, Any

from faltung import errors
from faltung.errors import FaltungError

if TYPE_CHECKING:
    from faltung import analysis, functional, geometry, nn, pictures
    from faltung.accuracy import precision
    from faltung.analysis import cost, receptive_field, summary
    from faltung.explain import why
    from faltung.switch import disable, enable, enabled, is_enabled

__version__ = "0.1.0"

__all__ = [
    "FaltungError",
    "__version__",
    "analysis",
    "cost",
    "disable",
    "enable",
    "enabled",
    "errors",
    "functional",
    "geometry",
    "is_enabled",
    "nn",
    "pictures",
    "precision",
    "receptive_field",
    "summary",
    "why",
]

_HOMES = {
    **dict.fromkeys(("disable", "enable", "enabled", "is_enabled"), "switch"),
    **dict.fromkeys(("cost", "receptive_field", "summary"), "analysis"),
    "precision": "accuracy",
    "why": "explain",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: torch takes seconds, `--help` should not.

    Raises:
        AttributeError: There is no such public name.
    """
    if name not in __all__:
        raise AttributeError(f"module 'faltung' has no attribute {name!r}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"faltung.{_HOMES[name]}"), name)
    return importlib.import_module(f"faltung.{name}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
