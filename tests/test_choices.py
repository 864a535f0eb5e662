"""The file of remembered choices: damage is ignored, others cannot write it, it stays whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faltung.compiler import memory
from faltung.compiler.memory import Choices

POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files")
DAMAGED = [b"", b"{", b"\xff\xfe", b"[1]", b"null", b"[" * 100_000, b" " * (memory.ROOM + 1)]


@pytest.mark.parametrize("damage", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_is_ignored_and_replaced(damage: bytes, tmp_path: Path) -> None:
    Choices(tmp_path).remember("a", "dense")
    (tmp_path / memory.NAME).write_bytes(damage)
    assert Choices(tmp_path).recall("a") is None
    Choices(tmp_path).remember("b", "depthwise")
    assert json.loads((tmp_path / memory.NAME).read_text()) == {"b": "depthwise"}


def test_the_number_of_choices_is_bounded(tmp_path: Path) -> None:
    many = {str(n): "dense" for n in range(memory.LIMIT)} | {"x": 3}
    (tmp_path / memory.NAME).write_text(json.dumps(many))
    kept = Choices(tmp_path)
    kept.remember("new", "dense")
    assert (kept.recall("0"), kept.recall("1"), kept.recall("new")) == (None, "dense", "dense")
    assert kept.recall("x") is None
    assert len(json.loads((tmp_path / memory.NAME).read_text())) == memory.LIMIT


def test_writers_at_once_leave_a_whole_file(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from faltung.compiler.memory import Choices\n"
        "kept = Choices(Path(sys.argv[1]))\n"
        "for n in range(200): kept.remember(f'{sys.argv[2]} {n}', 'dense')\n"
        "sys.exit(kept.trouble)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [memory.NAME]
    assert set(json.loads((tmp_path / memory.NAME).read_text()).values()) == {"dense"}


@POSIX
def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    Choices(tmp_path).remember("a", "dense")
    tmp_path.chmod(0o777)
    kept = Choices(tmp_path)
    for use in (lambda: kept.recall("a"), lambda: kept.remember("b", "dense"), kept.clear):
        assert not use()
        assert str(kept.trouble).startswith(f"no choices are remembered: {tmp_path} can be written")
        assert str(kept.trouble).endswith(f"chmod 700 {tmp_path}")
    tmp_path.chmod(0o700)
    assert (Choices(tmp_path).recall("a"), Choices(tmp_path).recall("b")) == ("dense", None)
    (tmp_path / memory.NAME).chmod(0o666)
    kept = Choices(tmp_path)
    assert kept.recall("a") is None
    assert str(kept.trouble).endswith(f"chmod 600 {tmp_path / memory.NAME}")


def test_a_file_that_cannot_be_replaced_is_told(tmp_path: Path) -> None:
    (tmp_path / memory.NAME).mkdir()
    kept = Choices(tmp_path)
    for use in (lambda: kept.recall("a"), lambda: kept.remember("a", "dense"), kept.clear):
        assert not use()
        assert str(kept.trouble).startswith(("choices cannot be ", "choices are not read: "))
        assert kept.recall("a") is None
    assert [path.name for path in tmp_path.iterdir()] == [memory.NAME]


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    kept = Choices(tmp_path / "new")
    assert kept.clear() == 0
    kept.forget("a")
    assert not kept.folder.exists()
    kept.remember("a", "dense")
    kept.remember("b", "dense")
    kept.forget("a")
    for known in (kept, Choices(kept.folder)):
        assert (known.recall("a"), known.recall("b")) == (None, "dense")
    assert (kept.clear(), kept.clear(), kept.recall("b")) == (1, 0, None)
