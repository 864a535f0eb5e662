"""Checkpoints: whole or not there, and refused when they are not ours."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from faltung.errors import RunError
from faltung.recognition import checkpoint, files
from faltung.recognition.checkpoint import Facts
from faltung.recognition.config import recipe
from faltung.recognition.dataset import DIGITS_FRAME

FACTS = Facts(("a", "b"), DIGITS_FRAME, 0.3, 0.4)


def best(run: Path) -> Path:
    config = recipe("digits")
    model = checkpoint.build(FACTS, config)
    file = run / checkpoint.BEST
    checkpoint.save(file, model.state_dict(), checkpoint.facts_as_notes(FACTS, config))
    return file


def test_a_run_opens_with_what_was_saved(tmp_path: Path) -> None:
    best(tmp_path)
    opened = checkpoint.open_run(tmp_path)
    assert opened.facts == FACTS
    assert opened.config == recipe("digits")
    assert not opened.model.training
    logits = opened.logits(torch.zeros(3, 1, 8, 8, dtype=torch.uint8))
    assert logits.shape == (3, 2)
    assert torch.equal(logits[0], logits[2])


def test_a_missing_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        checkpoint.open_run(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'best.safetensors'} does not exist: name the folder of a run made by "
        f"`faltung train`"
    )


@pytest.mark.parametrize("keep", [0, 7, 100, 5000])
def test_a_truncated_checkpoint_is_said(tmp_path: Path, keep: int) -> None:
    file = best(tmp_path)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(RunError, match="is damaged"):
        checkpoint.open_run(tmp_path)


def test_a_foreign_file_is_said(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / checkpoint.BEST)
    with pytest.raises(RunError, match="is no checkpoint of this library"):
        checkpoint.open_run(tmp_path)


def test_weights_of_another_network_are_said(tmp_path: Path) -> None:
    notes = checkpoint.facts_as_notes(FACTS, recipe("digits"))
    checkpoint.save(tmp_path / checkpoint.BEST, {"x": torch.zeros(1)}, notes)
    with pytest.raises(RunError, match="holds the weights of another network"):
        checkpoint.open_run(tmp_path)


def test_notes_of_another_version_are_said(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / checkpoint.BEST, {"x": torch.zeros(1)}, {"facts": {}})
    with pytest.raises(RunError, match="was written by another version"):
        checkpoint.open_run(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "x.txt"
    files.write_text(target, "old")

    def fail() -> None:
        with files.replacing(target) as part:
            part.write_text("half")
            raise OSError

    with pytest.raises(OSError):  # noqa: PT011 (any, raised right above)
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / f"{files.PREFIX}abc.safetensors").write_text("half")
    (tmp_path / "kept").write_text("whole")
    files.clean(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunError) as caught:
        checkpoint.save(blocked / "x.safetensors", {"x": torch.zeros(1)}, {})
    message = str(caught.value)
    assert message.startswith(f"{blocked / 'x.safetensors'} cannot be written ([Errno 20] ")
    assert message.endswith(
        "): make room and allow writing there, or name another folder with --out"
    )
