"""Look into the folder of a kernel store."""

import hashlib
import os
import time
from pathlib import Path

from faltung.compiler.store import Store

CODE = b"\x7fELF\n\x00\nkernel\xff"


def names(folder: Path) -> list[str]:
    """Return the names of all that lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def file_of(store: Store, key: str) -> Path:
    """Return the path under which a store keeps a key, whether or not it is there."""
    digest = hashlib.sha256(f"{store.fingerprint}\0{key}".encode()).hexdigest()
    return store.folder / f"{digest}.kernel"


def age(path: Path, seconds: float) -> None:
    """Make a file look as if last used so many seconds ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))
