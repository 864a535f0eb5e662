"""The kernel store: what others could have written is not loaded; all trouble is said."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from faltung.compiler.store import Store
from storing import CODE, file_of, names

POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files")
REFUSED = "and code is loaded only from what its user alone can write"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder, "cpu 1")


@POSIX
def test_what_is_created_is_private(store: Store, folder: Path) -> None:
    before = os.umask(0)
    try:
        store.put("a", CODE)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file_of(store, "a").stat().st_mode & 0o777 == 0o600


def refuses(store: Store, words: str) -> None:
    """Show that a store neither loads, stores, lists nor removes, and that each call says why."""
    before = names(store.folder) if store.folder.is_dir() else None
    expected = f"no kernels are loaded or stored: {store.folder} {words}"
    calls: list[tuple[Callable[[], object], object]] = [
        (lambda: store.get("a"), None),
        (lambda: store.put("b", CODE), None),
        (store.entries, []),
        (store.clear, 0),
    ]
    for call, nothing in calls:
        store._folder_trouble = None
        assert call() == nothing
        assert store.trouble == expected
    assert before == (names(store.folder) if store.folder.is_dir() else None)


def test_a_folder_that_is_a_link_is_refused(store: Store, folder: Path, tmp_path: Path) -> None:
    Store(tmp_path / "real", "cpu 1").put("a", CODE)
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "real")
    refuses(store, "is a symbolic link, and links are not followed: remove it")
    folder.unlink()
    folder.symlink_to(tmp_path / "nowhere")
    refuses(store, "is a symbolic link, and links are not followed: remove it")
    assert not (tmp_path / "nowhere").exists()
    folder.unlink()
    store.put("a", CODE)
    assert store.get("a") == CODE
    assert store.trouble is None


@POSIX
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o2770])
def test_a_folder_that_others_can_write_is_refused(store: Store, folder: Path, mode: int) -> None:
    store.put("a", CODE)
    folder.chmod(mode)
    refuses(store, f"can be written by other users (mode {mode:o}), {REFUSED}: chmod 700 {folder}")
    folder.chmod(0o755)
    assert store.get("a") == CODE
    assert store.trouble is None


@POSIX
def test_what_belongs_to_another_user_is_refused(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a", CODE)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    refuses(store, f"belongs to user {me}, not to {me + 1}, {REFUSED}: chown {me + 1} {folder}")


@POSIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root gives away")
def test_a_file_of_another_user_is_refused(store: Store) -> None:
    store.put("a", CODE)
    path = file_of(store, "a")
    os.chown(path, 12345, -1)
    assert store.get("a") is None
    assert store.trouble == (
        f"a stored kernel is not loaded: {path} belongs to user 12345, not to 0, {REFUSED}: "
        f"chown 0 {path}"
    )


@POSIX
def test_without_owners_nothing_is_asked_of_them(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "geteuid")
    store.put("a", CODE)
    folder.chmod(0o777)
    file_of(store, "a").chmod(0o666)
    assert store.get("a") == CODE
    assert store.trouble is None


def test_what_is_no_folder_is_refused(store: Store, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("mine")
    refuses(store, "is not a folder: remove it")
    assert folder.read_text() == "mine"
    below = Store(folder / "kernels", "cpu 1")
    refuses(below, "cannot be used: Not a directory: let this user create and enter it")


def test_a_folder_that_cannot_be_created_is_said(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", read_only)
    store.put("a", CODE)
    assert store.trouble == (
        f"no kernels are loaded or stored: {folder} cannot be used: Read-only file system: let "
        f"this user create and enter it"
    )
    assert store.get("a") is None


def spoil(path: Path, how: str) -> str:
    """Replace a kernel by something that must not be loaded; return the words that say so."""
    good = path.read_bytes()
    if how == "world-writable":
        path.chmod(0o606)
        return f"can be written by other users (mode 606), {REFUSED}: chmod 600 {path}"
    path.unlink()
    if how == "link":
        target = path.with_name("target")
        target.write_bytes(good)
        target.chmod(0o600)
        path.symlink_to(target)
        return "is a symbolic link, and links are not followed: remove it"
    if how == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    return "is not a regular file: remove it"


@POSIX
@pytest.mark.parametrize("how", ["world-writable", "link", "folder", "pipe"])
def test_a_file_that_is_not_ours_alone_is_refused(store: Store, how: str) -> None:
    store.put("a", CODE)
    path = file_of(store, "a")
    words = f"a stored kernel is not loaded: {path} {spoil(path, how)}"
    before = names(store.folder)
    assert store.get("a") is None
    assert store.trouble == words
    assert names(store.folder) == before
    if how == "folder":
        path.rmdir()
    store.put("a", CODE)
    assert store.get("a") == CODE
    assert not path.is_symlink()
    assert names(store.folder) == before
    assert store.trouble is None


def test_a_file_that_cannot_be_read_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("a", CODE)
    path = file_of(store, "a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        assert store.get("a") is None
    assert store.trouble == (
        f"a stored kernel is not loaded: {path} cannot be read: Permission denied: remove it"
    )
    assert store.get("a") == CODE


def denied(*_: object) -> int:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_folder_that_cannot_be_written_is_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put("a", CODE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        store.put("b", CODE)
    assert store.trouble == (
        f"a kernel could not be stored in {store.folder}: Permission denied: make room there, or "
        f"let this user write there"
    )
    assert store.get("a") == CODE
    assert store.trouble is not None
    store.put("b", CODE)
    assert store.trouble is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_full_disk_is_said(store: Store, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    store.put("a", CODE)
    opened = os.open

    def full(name: str, flags: int, mode: int) -> int:
        os.close(opened(name, flags, mode))
        return opened("/dev/full", os.O_WRONLY)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        store.put("b", bytes(size))
    assert store.trouble == (
        f"a kernel could not be stored in {store.folder}: No space left on device: make room "
        f"there, or let this user write there"
    )
    assert names(store.folder) == [file_of(store, "a").name]
    assert store.get("b") is None


def test_what_cannot_be_removed_is_said(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("a", CODE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", denied)
        assert store.clear() == 0
    assert store.trouble == (
        f"a stored kernel cannot be removed: {file_of(store, 'a')}: Permission denied: let this "
        f"user write in {store.folder}"
    )
    assert store.clear() == 1
