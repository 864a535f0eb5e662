"""MNIST found on this machine or fetched, and never taken damaged."""

import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from faltung.errors import DataError
from faltung.recognition import mnist

NAME = "train-labels-idx1-ubyte"
CONTENT = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a test its own cache and no data folder."""
    monkeypatch.delenv("FALTUNG_DATA", raising=False)
    monkeypatch.setattr(mnist, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder on the loopback address."""
    root = tmp_path / "site"
    root.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def files_below(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob("*") if p.is_file()]


def test_a_file_is_fetched_once_and_kept(site: tuple[Path, str], tmp_path: Path) -> None:
    root, url = site
    (root / f"{NAME}.gz").write_bytes(gzip.compress(CONTENT))
    assert mnist.obtain(NAME, DIGEST, [url]) == CONTENT
    assert files_below(tmp_path / "cache") == [f"{NAME}.gz"]
    assert mnist.obtain(NAME, DIGEST, []) == CONTENT


def test_the_next_mirror_is_tried(site: tuple[Path, str]) -> None:
    root, url = site
    (root / "good").mkdir()
    (root / "good" / f"{NAME}.gz").write_bytes(gzip.compress(CONTENT))
    (root / "bad").mkdir()
    (root / "bad" / f"{NAME}.gz").write_bytes(gzip.compress(b"other"))
    mirrors = ["http://127.0.0.1:9/", f"{url}none/", f"{url}bad/", f"{url}good/"]
    assert mnist.obtain(NAME, DIGEST, mirrors) == CONTENT


@pytest.mark.parametrize("served", [None, b"", b"no gzip", gzip.compress(CONTENT, mtime=0)[:-4]])
def test_a_bad_mirror_is_named_and_leaves_nothing(
    site: tuple[Path, str], tmp_path: Path, served: bytes | None
) -> None:
    root, url = site
    if served is not None:
        (root / f"{NAME}.gz").write_bytes(served)
    with pytest.raises(DataError) as caught:
        mnist.obtain(NAME, DIGEST, [url])
    message = str(caught.value)
    assert message.startswith(f"{NAME}.gz could not be fetched ({url}{NAME}.gz: ")
    assert message.endswith(
        "check the network, or place MNIST's four files in a folder `mnist` and set FALTUNG_DATA "
        "to the folder that holds it"
    )
    assert files_below(tmp_path / "cache") == []


def test_a_damaged_cache_is_fetched_again(site: tuple[Path, str], tmp_path: Path) -> None:
    root, url = site
    (root / f"{NAME}.gz").write_bytes(gzip.compress(CONTENT))
    cached = tmp_path / "cache" / "mnist" / f"{NAME}.gz"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(gzip.compress(CONTENT)[:-9])
    assert mnist.obtain(NAME, DIGEST, [url]) == CONTENT
    assert gzip.decompress(cached.read_bytes()) == CONTENT


@pytest.mark.parametrize("layout", ["mnist", "MNIST/raw", "mnist/MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_local_files_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, packed: bool
) -> None:
    folder = tmp_path / "data" / layout
    folder.mkdir(parents=True)
    if packed:
        (folder / f"{NAME}.gz").write_bytes(gzip.compress(CONTENT))
    else:
        (folder / NAME).write_bytes(CONTENT)
    monkeypatch.setenv("FALTUNG_DATA", str(tmp_path / "data"))
    assert mnist.obtain(NAME, DIGEST, []) == CONTENT


def test_a_local_file_with_other_content_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mnist" / NAME
    file.parent.mkdir()
    file.write_bytes(b"other")
    monkeypatch.setenv("FALTUNG_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        mnist.obtain(NAME, DIGEST, [])
    assert str(caught.value) == (
        f"{file} has the SHA-256 {hashlib.sha256(b'other').hexdigest()} (decompressed) where "
        f"{DIGEST} is expected: the file is damaged or not MNIST's; remove it, and it is fetched, "
        f"or place a good copy there"
    )


def test_idx_files_are_read_strictly() -> None:
    assert mnist.parse_idx(CONTENT, NAME).tolist() == [7, 8, 9]
    with pytest.raises(DataError) as caught:
        mnist.parse_idx(b"\x89PNG", NAME)
    assert str(caught.value) == (
        f"{NAME} begins with the bytes 89 50 4e 47: an IDX file of unsigned bytes begins with "
        f"00 00 08; fetch the file again"
    )
    for content in (CONTENT[:-1], CONTENT + b"x", bytes([0, 0, 8, 0])):
        with pytest.raises(DataError, match="the file is cut or damaged; fetch it again"):
            mnist.parse_idx(content, NAME)


def test_the_real_files_have_the_known_digests(
    shared_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALTUNG_DATA", str(shared_mnist.parent))
    data = mnist.load_mnist([])
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert np.bincount(data.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip
