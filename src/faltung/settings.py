"""The environment variables that steer the library, and the folders that follow from them.

| variable | means |
|---|---|
| `FALTUNG_DATA` | folder that holds data sets, each in a sub-folder of its name (`mnist`, …) |
"""

import os
from pathlib import Path

import platformdirs

from faltung.errors import ArgumentError


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
