"""Files that are either whole or not there: written under another name, then renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".unfinished-"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; on leaving, make it durable and rename it.

    After an exception the temporary file is removed and the target is as it was. A process that is
    killed meanwhile leaves a file that starts with `PREFIX`; `clean` removes those.
    """
    handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        _flush(part)
        part.replace(target)
        _flush(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(target: Path, text: str) -> None:
    """Write a text file in UTF-8, atomically."""
    with replacing(target) as part:
        part.write_text(text, encoding="utf-8")


def clean(folder: Path) -> None:
    """Remove what a killed process left half-written in a folder."""
    for part in folder.glob(f"{PREFIX}*"):
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
