"""The kernel store: what was stored is found, damage is a miss, the folder is bounded."""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from faltung.compiler.store import MAGIC, Entry, Store
from faltung.errors import ArgumentError
from storing import CODE, age, file_of, names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "kernels"


@pytest.fixture
def store(folder: Path) -> Store:
    return Store(folder, "cpu 1")


def test_a_round_trip(store: Store) -> None:
    payloads = {"a": CODE, "b": b"", "ü\0\n": b"\n\n\n\n", "long " * 1000: bytes(range(256)) * 5000}
    for key, payload in payloads.items():
        assert store.get(key) is None
        store.put(key, payload)
    assert {key: store.get(key) for key in payloads} == payloads
    assert names(store.folder) == sorted(file_of(store, key).name for key in payloads)
    store.put("a", b"anew")
    assert store.get("a") == b"anew"
    assert store.trouble is None


def test_asking_touches_nothing(store: Store, folder: Path) -> None:
    assert store.trouble is None
    assert store.get("a") is None
    assert store.entries() == []
    assert store.clear() == 0
    assert store.trouble is None
    assert not folder.parent.exists()


def test_the_next_process_finds_it(store: Store, folder: Path) -> None:
    store.put("a", CODE)
    assert Store(folder, "cpu 1").get("a") == CODE
    assert Store(folder, "cpu 2").get("a") is None
    assert store.get("a") == CODE


def test_a_negative_limit_is_said(folder: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        Store(folder, "cpu 1", -1)
    assert str(caught.value) == "limit is -1, but a size in bytes is 0 or more: use 0"


def test_every_changed_bit_is_a_miss(store: Store) -> None:
    store.put("a", CODE)
    path = file_of(store, "a")
    good = path.read_bytes()
    for place in range(len(good)):
        for bit in range(8):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
            path.chmod(0o600)
            assert store.entries() == []
            assert store.get("a") is None, (place, bit)
            assert not path.exists(), (place, bit)
    path.write_bytes(good)
    path.chmod(0o600)
    assert store.get("a") == CODE
    assert store.trouble is None


def test_every_truncation_and_more_bytes_are_misses(store: Store) -> None:
    store.put("a", CODE)
    path = file_of(store, "a")
    good = path.read_bytes()
    others = [b"\0", b"\n", good]
    for bad in [good[:end] for end in range(len(good))] + [good + other for other in others]:
        path.write_bytes(bad)
        path.chmod(0o600)
        assert store.get("a") is None, bad
        assert not path.exists(), bad


def test_a_file_under_the_name_of_another_is_a_miss(store: Store, folder: Path) -> None:
    store.put("a", CODE)
    other = Store(folder, "cpu 2")
    for target, reader, key in [
        (file_of(store, "b"), store, "b"),
        (file_of(other, "a"), other, "a"),
    ]:
        target.write_bytes(file_of(store, "a").read_bytes())
        target.chmod(0o600)
        assert reader.get(key) is None
        assert not target.exists()
    assert store.get("a") == CODE


@pytest.mark.parametrize(
    "header",
    [
        json.dumps(["cpu 1", "a", len(CODE) + 1]),
        json.dumps(["cpu 1", "a", len(CODE), 0]),
        json.dumps(["cpu 1", 1, len(CODE)]),
        json.dumps(["cpu 1", "a"]),
        json.dumps({"cpu 1": "a"}),
        json.dumps(["cpu 1", "a", len(CODE)], separators=(",", ":")),
        "[" * 100_000,
        "9" * 10_000,
        "ÿ",
        "",
    ],
    ids=lambda header: header[:24],
)
def test_a_header_of_another_form_is_a_miss(store: Store, header: str) -> None:
    store.put("a", b"")
    path = file_of(store, "a")
    head = MAGIC + header.encode("latin-1") + b"\n"
    digest = hashlib.sha256(head + CODE).hexdigest().encode()
    path.write_bytes(head + digest + b"\n" + CODE)
    path.chmod(0o600)
    assert store.entries() == []
    assert store.get("a") is None
    assert not path.exists()


def test_the_form_of_a_file(store: Store) -> None:
    store.put("a", CODE)
    head = MAGIC + json.dumps(["cpu 1", "a", len(CODE)]).encode() + b"\n"
    digest = hashlib.sha256(head + CODE).hexdigest().encode()
    assert file_of(store, "a").read_bytes() == head + digest + b"\n" + CODE


def test_entries(store: Store, folder: Path) -> None:
    other = Store(folder, "cpu 2")
    store.put("a", CODE)
    other.put("a", b"longer than that")
    store.put("b", CODE)
    for path, seconds in [(file_of(store, "a"), 50), (file_of(other, "a"), 100)]:
        age(path, seconds)
    (folder / f"{'0' * 64}.kernel").write_bytes(b"damaged")
    (folder / f"{'0' * 64}.kernel").chmod(0o600)
    expected = []
    for writer, key in [(store, "b"), (store, "a"), (other, "a")]:
        facts = file_of(writer, key).stat()
        expected.append(Entry(key, facts.st_size, facts.st_mtime, writer is store))
    assert store.entries() == expected
    assert len(names(folder)) == 4
    with pytest.raises(AttributeError):
        expected[0].size = 0  # type: ignore[misc]


def test_clear_removes_what_is_its_own(store: Store, folder: Path, tmp_path: Path) -> None:
    store.put("a", CODE)
    Store(folder, "cpu 2").put("a", CODE)
    kept = tmp_path / "kept"
    kept.write_text("kept")
    (folder / f"{'1' * 64}.kernel").symlink_to(kept)
    (folder / f"{'2' * 64}.kernel").mkdir()
    (folder / "linux.kernel").write_text("another's")
    (folder / "readme").write_text("another's")
    (folder / f"{'3' * 64}.0123456789abcdef.unfinished").write_text("half")
    (folder / f"{'4' * 64}.kernel").write_text("damaged")
    assert store.clear() == 3
    assert names(folder) == [f"{'1' * 64}.kernel", f"{'2' * 64}.kernel", "linux.kernel", "readme"]
    assert kept.read_text() == "kept"
    assert store.clear() == 0


def test_a_use_is_noted_once_an_hour(store: Store) -> None:
    store.put("a", CODE)
    path = file_of(store, "a")
    for seconds, noted in [(3000, False), (4000, True), (-4000, True)]:
        age(path, seconds)
        before = path.stat().st_mtime
        assert store.get("a") == CODE
        assert (path.stat().st_mtime != before) is noted
        assert not noted or abs(path.stat().st_mtime - time.time()) < 1000


def test_the_least_recently_used_go(folder: Path) -> None:
    size = 1000
    probe = Store(folder, "cpu 1")
    probe.put("0", bytes(size))
    record = file_of(probe, "0").stat().st_size
    store = Store(folder, "cpu 1", limit=10 * record)
    for number in range(10):
        store.put(str(number), bytes(size))
        age(file_of(store, str(number)), 10_000 - number)
    assert len(names(folder)) == 10
    assert store.get("0") == bytes(size)
    store.put("+", bytes(size))
    assert {entry.key for entry in store.entries()} == {"0", *"3456789", "+"}
    assert sum(entry.size for entry in store.entries()) <= 0.9 * store.limit


def test_the_folder_is_looked_through_when_a_share_of_what_is_free_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    listed = os.scandir

    def looking(at: Path) -> Any:
        looked.append(at)
        return listed(at)

    monkeypatch.setattr(os, "scandir", looking)
    store = Store(folder, "cpu 1", limit=1_000_000)
    store.put("0", bytes(1000))
    assert looked == [folder]
    for number in range(12):
        store.put(str(number), bytes(1000))
    assert looked == [folder]
    for number in range(12, 1000):
        store.put(str(number), bytes(1000))
    assert 50 < len(looked) < 800
    assert sum(path.stat().st_size for path in folder.iterdir()) <= store.limit
    assert len(list(folder.iterdir())) < 1000


def test_two_processes_exceed_the_limit_by_no_more_than_a_part(folder: Path) -> None:
    one, other = (Store(folder, "cpu 1", limit=100_000) for _ in range(2))
    one.put("one", bytes(100))
    for number in range(60):
        other.put(f"other {number}", bytes(1000))
    for number in range(40):
        one.put(f"one {number}", bytes(1000))
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 100_000 * (1 + 1 / 64)


def test_kernels_of_all_fingerprints_count(folder: Path) -> None:
    for number in range(8):
        Store(folder, f"cpu {number}", limit=2000).put("a", bytes(500))
        assert sum(path.stat().st_size for path in folder.iterdir()) <= 2000
    assert Store(folder, "cpu 7").get("a") == bytes(500)
    assert Store(folder, "cpu 0").get("a") is None


def test_the_newest_stays_whatever_its_size(folder: Path) -> None:
    store = Store(folder, "cpu 1", limit=2000)
    store.put("a", bytes(500))
    store.put("b", bytes(1850))
    assert store.get("b") == bytes(1850)
    assert [entry.key for entry in store.entries()] == ["b"]


@pytest.mark.parametrize("limit", [0, 2000])
def test_what_is_larger_than_the_limit_is_not_stored(folder: Path, limit: int) -> None:
    Store(folder, "cpu 1").put("a", CODE)
    store = Store(folder, "cpu 1", limit=limit)
    store.put("b", bytes(limit + 1))
    store.put("c", bytes(limit))
    assert [entry.key for entry in store.entries()] == ["a"]
    assert store.trouble is None
