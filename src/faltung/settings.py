"""The environment variables that steer the library, and the folders that follow from them.

| variable | means |
|---|---|
| `FALTUNG_DATA` | folder that holds data sets, each in a sub-folder of its name (`mnist`, …) |
| `FALTUNG_ALGORITHM` | algorithms, between commas, that run wherever they take a problem |
| `FALTUNG_ISA` | instruction set that kernels use at most: `amx`, `avx512`, `avx2`, `vector128` |
"""

import os
from collections.abc import Collection
from pathlib import Path

import platformdirs

from faltung.errors import ArgumentError

LEVELS = ("amx", "avx512", "avx2", "vector128")


def data_folder() -> Path | None:
    """Return the folder named by `FALTUNG_DATA`, or None where the variable is unset or empty.

    Raises:
        ArgumentError: The variable names something that is not a folder.
    """
    value = os.environ.get("FALTUNG_DATA", "")
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise ArgumentError(
            f"FALTUNG_DATA is {value!r}, which is not a folder: name a folder that exists, "
            f"or unset the variable"
        )
    return folder


def cache_folder() -> Path:
    """Return the user's cache folder for this library, as the platform names it (not created)."""
    return Path(platformdirs.user_cache_dir("faltung", appauthor=False))


def algorithms(known: Collection[str]) -> tuple[str, ...]:
    """Return the algorithms that `FALTUNG_ALGORITHM` names, none where it is unset.

    Args:
        known: The names there are.

    Raises:
        ArgumentError: The variable names another.
    """
    value = os.environ.get("FALTUNG_ALGORITHM", "")
    named = tuple(name.strip() for name in value.split(",") if name.strip())
    for name in named:
        if name not in known:
            raise ArgumentError(
                f"FALTUNG_ALGORITHM has {name!r}, which is no algorithm: use some of "
                f"{', '.join(known)}, or unset the variable"
            )
    return named


def instruction_set() -> str | None:
    """Return the level that `FALTUNG_ISA` tells kernels to pretend, or None where it is unset.

    Raises:
        ArgumentError: The variable names no level.
    """
    value = os.environ.get("FALTUNG_ISA", "")
    if value and value not in LEVELS:
        raise ArgumentError(
            f"FALTUNG_ISA is {value!r}, which is no instruction set: use one of "
            f"{', '.join(LEVELS)}, or unset the variable"
        )
    return value or None
