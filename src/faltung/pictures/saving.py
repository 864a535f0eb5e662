"""Figures saved as files that are whole or not there, and the same to the byte every time."""

import io
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from faltung.errors import ArgumentError
from faltung.recognition.files import replacing

DPI = 160
QUALITY = 90  # of a .webp, of 100
METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
    ".png": {"Software": None},
}
ENDINGS = (*METADATA, ".webp")
_SETTINGS: Any = {
    "svg.fonttype": "path",  # the same letters on every machine; the text itself is in comments
    "svg.hashsalt": "faltung",
    "pdf.fonttype": 42,
    "savefig.bbox": None,
    "savefig.transparent": False,
    "path.simplify": False,
}
_settings_lock = threading.Lock()  # matplotlib's settings are those of the whole process


def save(figure: Figure, path: Path | str, *, dpi: float = DPI) -> Path:
    """Save a figure, atomically; the same figure gives the same bytes.

    Args:
        figure: Any matplotlib figure; its label is the title that screen readers speak.
        path: Where; the ending says the format: .svg and .pdf stay sharp at any size, .png is the
            same in pixels, .webp is smaller where there are photographs.
        dpi: Pixels an inch of a .png or .webp.

    Returns:
        The path.

    Raises:
        ArgumentError: The ending is another one, there is no such folder, or nothing can be
            written there.
    """
    target = checked_target(path, ENDINGS, "a figure")
    write(target, rendered(figure, target.suffix.lower(), dpi))
    return target


def rendered(figure: Figure, ending: str, dpi: float = DPI) -> bytes:
    """Return a figure as the content of a file with that ending, one of `ENDINGS`."""
    content = io.BytesIO()
    title = str(figure.get_label())
    options: dict[str, Any] = {"pil_kwargs": {"quality": QUALITY, "method": 6}}
    if ending in METADATA:
        options = {"metadata": {**METADATA[ending], **({"Title": title} if title else {})}}
    with _settings_lock, mpl.rc_context(_SETTINGS):
        figure.savefig(
            content,
            format=ending[1:],
            dpi=dpi,
            **options,
            facecolor=figure.get_facecolor(),
            edgecolor="none",
        )
    return content.getvalue()


def checked_target(path: Path | str, endings: Collection[str], what: str) -> Path:
    """Return where to save.

    Raises:
        ArgumentError: The ending is none of `endings`, or there is no such folder.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        raise ArgumentError(
            f"out is {target}: {what} is saved as {', '.join(endings)}; choose one of these endings"
        )
    if not target.parent.is_dir():
        raise ArgumentError(
            f"out is {target}, but there is no folder {target.parent}: create it, or choose another"
        )
    if target.is_dir():
        raise ArgumentError(f"out is {target}, which is a folder: choose the name of a file")
    return target


def write(target: Path, content: bytes) -> None:
    """Write a file, atomically.

    Raises:
        ArgumentError: Nothing can be written there.
    """
    try:
        with replacing(target) as part:
            part.write_bytes(content)
    except OSError as error:
        raise ArgumentError(
            f"out is {target}, which cannot be written ({error.strerror}): allow writing in "
            f"{target.parent}, or choose another folder"
        ) from None
