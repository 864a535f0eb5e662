"""The kernel store: many processes and threads at once, some of which die."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from faltung.compiler.store import Store
from storing import CODE, age, file_of, names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder, "cpu 1")


def test_what_was_cleared_during_a_put_is_no_trouble(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = Path.replace

    def late(part: Path, target: Path) -> Path:
        assert Store(store.folder, "another").clear() == 0
        return renamed(part, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", late)
        store.put("a", CODE)
    assert store.trouble is None
    assert names(store.folder) == []


def test_what_vanishes_from_a_listing_hides_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in "abcd":
        store.put(key, CODE)
    listed = os.scandir

    def vanishing(folder: Path) -> AbstractContextManager[list[os.DirEntry[str]]]:
        with listed(folder) as files:
            found = list(files)
        Path(found[0]).unlink()
        return nullcontext(found)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", vanishing)
        assert len(store.entries()) == 3
    assert store.trouble is None
    assert store.clear() == 3


def test_interruption_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(part: Path, _: Path) -> Path:
        assert part.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.put("a", CODE)
    assert names(store.folder) == []


def test_stale_unfinished_files_go(store: Store, folder: Path) -> None:
    store.put("a", CODE)
    old, young = (folder / f"{letter * 64}.0123456789abcdef.unfinished" for letter in "ab")
    for path, seconds in [(old, 3700), (young, 3500)]:
        path.write_bytes(CODE)
        age(path, seconds)
    assert store.get("a") == CODE
    assert old.exists()
    Store(folder, "cpu 1").put("a", CODE)
    assert not old.exists()
    assert young.exists()


KILLED = """
import resource, signal, sys
from pathlib import Path
from faltung.compiler.store import Store

signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
Store(Path(sys.argv[1]), "cpu 1").put("a", bytes(100_000))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system does not limit files")
def test_a_process_killed_while_it_writes_harms_nobody(store: Store, folder: Path) -> None:
    store.put("b", CODE)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert killed.returncode == -signal.SIGXFSZ
    (part,) = folder.glob("*.unfinished")
    assert part.stat().st_size == 5000
    assert store.get("a") is None
    assert [entry.key for entry in store.entries()] == ["b"]
    store.put("a", CODE)
    assert store.get("a") == CODE
    age(part, 3700)
    Store(folder, "cpu 1").put("a", CODE)
    assert names(folder) == sorted(file_of(store, key).name for key in "ab")
    assert store.trouble is None


MANY = """
import sys
from pathlib import Path
from faltung.compiler.store import Store

folder, me, clears = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "clear"
store = Store(folder, "cpu 1")
print("ready", flush=True)
sys.stdin.readline()
hits = 0
for turn in range(150):
    for key in ("shared", "shared too", f"of {me}", f"of {me}, {turn % 5}"):
        payload = key.encode() * 3000
        store.put(key, payload)
        found = store.get(key)
        assert found == payload or (clears and found is None), key
        hits += found is not None
    if clears and turn % 10 == 0:
        store.clear()
assert clears or hits == 600, hits
assert store.trouble is None, store.trouble
"""


@pytest.mark.parametrize("how", ["keep", "clear"])
def test_many_processes_share_a_folder(store: Store, folder: Path, how: str) -> None:
    command = [sys.executable, "-c", MANY, str(folder)]
    processes = [
        subprocess.Popen(
            [*command, str(number), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    assert not list(folder.glob("*.unfinished"))
    if how == "keep":
        assert len(store.entries()) == 2 + 4 * 6
    store.put("shared", CODE)
    assert store.get("shared") == CODE


def test_many_threads_share_a_store(folder: Path) -> None:
    store = Store(folder, "cpu 1", limit=40_000)
    wrong: list[object] = []

    def work(me: int) -> None:
        try:
            for turn in range(60):
                for key in ("shared", f"of {me}, {turn % 7}"):
                    store.put(key, key.encode() * 200)
                    wrong.extend({store.get(key)} - {None, key.encode() * 200})
                if turn % 20 == me:
                    store.clear()
                store.entries()
        except BaseException as error:  # a thread has nobody else to tell
            wrong.append(error)
            raise

    threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert store.trouble is None
    assert not list(folder.glob("*.unfinished"))
    store.put("shared", CODE)
    assert store.get("shared") == CODE
    assert sum(path.stat().st_size for path in folder.iterdir()) <= store.limit
