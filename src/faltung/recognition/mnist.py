"""MNIST's four files: found locally or fetched, checked, and read as tensors.

Searched in this order, each file plain or as `.gz`: `$FALTUNG_DATA/mnist`,
`$FALTUNG_DATA/MNIST/raw` and `$FALTUNG_DATA/mnist/MNIST/raw` (the layout of torchvision), the
cache folder, the mirrors. Whatever the way, the SHA-256 of the decompressed content must be the one
below.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998;
the same page defines the IDX format.
"""

import gzip
import hashlib
import logging
import math
import os
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import torch
from torch import Tensor

from faltung.errors import DataError
from faltung.settings import cache_folder, data_folder

MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)

SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

_LAYOUTS = ("mnist", "MNIST/raw", "mnist/MNIST/raw")
_LARGEST = 64 * 2**20  # bytes; the largest of the files has 47,040,016
_TIMEOUT = 30  # seconds without an answer, after which a mirror counts as down
_STALE = 3600  # seconds; a temporary file this old was left by a process that was killed
_UBYTE = 8  # the IDX code of unsigned bytes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mnist:
    """The whole data set: images uint8 (N, 1, 28, 28), bright ink on black; labels int64 (N,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_mnist(mirrors: Sequence[str] = MIRRORS) -> Mnist:
    """Read MNIST: 60,000 images to train with and 10,000 to test with.

    Args:
        mirrors: Base URLs that serve the four files as `.gz`, tried in order where a file is not
            on this machine.

    Returns:
        The images and labels as tensors.

    Raises:
        DataError: A local file is damaged, or a file is nowhere and cannot be fetched.
    """
    train_x, train_y, test_x, test_y = (
        parse_idx(obtain(name, digest, mirrors), name) for name, digest in SHA256.items()
    )
    return Mnist(
        torch.from_numpy(train_x).unsqueeze(1),
        torch.from_numpy(train_y).long(),
        torch.from_numpy(test_x).unsqueeze(1),
        torch.from_numpy(test_y).long(),
    )


def obtain(name: str, digest: str, mirrors: Sequence[str]) -> bytes:
    """Return the decompressed content of one file, from this machine or from a mirror.

    Args:
        name: Name of the file without `.gz`.
        digest: SHA-256 of its decompressed content, in hexadecimal.
        mirrors: Base URLs, tried in order where the file is not on this machine.

    Raises:
        DataError: The file in `$FALTUNG_DATA` is damaged, or no mirror gave a good one.
    """
    for path in _local_paths(name):
        if path.is_file():
            return _read(path, digest)
    cached = cache_folder() / "mnist" / f"{name}.gz"
    if cached.is_file():
        try:
            return _read(cached, digest)
        except DataError as error:
            _log.warning("%s; it is fetched again", error)
    return _fetch(cached, digest, mirrors)


def parse_idx(content: bytes, name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Read an IDX file of unsigned bytes.

    Args:
        content: The decompressed file.
        name: Its name, for messages.

    Returns:
        A writable uint8 array with the sizes that the header gives.

    Raises:
        DataError: The header is not that of an IDX file of unsigned bytes, or the length of the
            file is not the one that its header announces.
    """
    if len(content) < 4 or content[:3] != bytes([0, 0, _UBYTE]):
        raise DataError(
            f"{name} begins with the bytes {content[:4].hex(' ') or '(none)'}: an IDX file of "
            f"unsigned bytes begins with 00 00 08; fetch the file again"
        )
    axes = content[3]
    start = 4 + 4 * axes
    sizes = [int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4)]
    if len(content) != start + math.prod(sizes) or axes == 0:
        raise DataError(
            f"{name} has {len(content)} bytes but its header announces {axes} axes of sizes "
            f"{sizes}, which takes {start + math.prod(sizes)}: the file is cut or damaged; "
            f"fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes).copy()


def _local_paths(name: str) -> list[Path]:
    """Return where the user may have placed the file, in the order of search."""
    root = data_folder()
    if root is None:
        return []
    return [root / layout / (name + end) for layout in _LAYOUTS for end in ("", ".gz")]


def _read(path: Path, digest: str) -> bytes:
    """Return the decompressed content of a file after checking it."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content = stream.read(_LARGEST)
        else:
            with path.open("rb") as plain:
                content = plain.read(_LARGEST)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read ({error}): the file is cut or damaged; remove it, and it is "
            f"fetched, or place a good copy there"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise DataError(
            f"{path} has the SHA-256 {found} (decompressed) where {digest} is expected: the file "
            f"is damaged or not MNIST's; remove it, and it is fetched, or place a good copy there"
        )
    return content


def _fetch(target: Path, digest: str, mirrors: Sequence[str]) -> bytes:
    """Fetch a file into the cache from the first mirror that has it whole; return its content."""
    reasons = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{target.name}"
        _log.info("fetching %s", url)
        part = _temporary(target)
        try:
            pooch.HTTPDownloader(timeout=_TIMEOUT)(url, str(part), None)
            content = _read(part, digest)
            _settle(part, target)
        except (OSError, DataError) as error:
            reasons.append(f"{url}: {str(error).replace(str(part), 'what came')}")
        else:
            return content
        finally:
            part.unlink(missing_ok=True)
    raise DataError(
        f"{target.name} could not be fetched ({'; '.join(reasons) or 'no mirror given'}): check "
        f"the network, or place MNIST's four files in a folder `mnist` and set FALTUNG_DATA to "
        f"the folder that holds it"
    )


def _temporary(target: Path) -> Path:
    """Create an empty file beside the target, and remove those that killed processes left."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.glob("*.part.gz"):
            if time.time() - old.stat().st_mtime > _STALE:
                old.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(".part.gz", target.name, target.parent)
    except OSError as error:
        raise DataError(
            f"the cache folder {target.parent} cannot be written ({error}): make it writable, or "
            f"set FALTUNG_DATA to a folder that holds MNIST in a sub-folder `mnist`"
        ) from error
    os.close(handle)
    return Path(name)


def _settle(part: Path, target: Path) -> None:
    """Give a complete file its final name, in one step and on the disk."""
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    part.replace(target)
