"""Training: learns, repeats to the bit, resumes to the bit, stops as told."""

import dataclasses
import math
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from support import TINY, command, environment, run, same_weights

from faltung.errors import RunError, TrainingError
from faltung.recognition import checkpoint
from faltung.recognition import train as training
from faltung.recognition.checkpoint import BEST, LAST, OpenRun
from faltung.recognition.config import Config, make
from faltung.recognition.dataset import Split, load
from faltung.recognition.distributed import Team
from faltung.recognition.evaluation import Evaluation, evaluate
from faltung.recognition.model import Reader

ALONE = Team(0, 1, torch.device("cpu"))


def tiny(**more: object) -> Config:
    return make({"epochs": 2, "batch": 256, "widths": [[4], [6]], **more})


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        training.train(training.prepare(tiny(seed=seed), tmp_path / name, ALONE))
    assert same_weights(tmp_path / "a" / LAST, tmp_path / "b" / LAST)
    assert not same_weights(tmp_path / "a" / LAST, tmp_path / "c" / LAST)


def test_it_learns(tmp_path: Path) -> None:
    config = make({"epochs": 6, "widths": [[16], [32]]})
    outcome = training.train(training.prepare(config, tmp_path / "run", ALONE))
    assert outcome.test.accuracy > 0.93
    assert [row["epoch"] for row in outcome.history] == [1, 2, 3, 4, 5, 6]
    assert outcome.history[-1]["train_loss"] < outcome.history[0]["train_loss"]


@pytest.mark.parametrize("steps", [0, 1, 5, 6, 9])
def test_a_stopped_run_resumes_to_the_bit(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.train(training.prepare(tiny(), tmp_path / "whole", ALONE))
    begun = training.prepare(tiny(), tmp_path / "parts", ALONE)
    made = 0
    real = training.schedule

    def counted(step: int, total: int, warmup: float) -> float:
        nonlocal made
        made += 1
        if made > steps:
            begun.deadline = -math.inf
        return real(step, total, warmup)

    monkeypatch.setattr(training, "schedule", counted)
    outcome = training.train(begun)
    assert outcome.stopped == "the time given by --max-time is over"
    monkeypatch.undo()
    resumed = training.train(training.resume(tmp_path / "parts", ALONE))
    assert resumed.stopped == ""
    assert same_weights(tmp_path / "whole" / LAST, tmp_path / "parts" / LAST)
    assert same_weights(
        tmp_path / "whole" / "best.safetensors", tmp_path / "parts" / "best.safetensors"
    )
    rows = (tmp_path / "parts" / "log.csv").read_text().splitlines()
    assert len(rows) == 3


def validated(monkeypatch: pytest.MonkeyPatch, accuracies: list[float]) -> None:
    """Let the validations of a training come out with these accuracies, then as they are."""
    real = evaluate
    left = iter(accuracies)

    def scripted(reader: OpenRun, split: Split) -> Evaluation:
        result = real(reader, split)
        return dataclasses.replace(result, accuracy=next(left, result.accuracy))

    monkeypatch.setattr(training, "evaluate", scripted)


def test_early_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    validated(monkeypatch, [0.5, 0.4, 0.5])
    begun = training.prepare(tiny(epochs=9, patience=2), tmp_path / "run", ALONE)
    outcome = training.train(begun)
    assert outcome.stopped == "no better validation result for 2 epochs"
    assert len(outcome.history) == 3


@pytest.mark.parametrize(("accuracies", "kept"), [([0.4, 0.6, 0.5], 2), ([0.6, 0.4, 0.6], 3)])
def test_the_best_is_kept_and_among_equals_the_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accuracies: list[float], kept: int
) -> None:
    validated(monkeypatch, accuracies)
    training.train(training.prepare(tiny(epochs=3), tmp_path / "run", ALONE))
    assert checkpoint.load(tmp_path / "run" / BEST)[1]["epoch"] == kept


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = training.prepare(tiny(), tmp_path / "run", ALONE)
    monkeypatch.setattr(
        Reader, "forward", lambda *_: torch.full((256, 10), math.nan, requires_grad=True)
    )
    with pytest.raises(TrainingError) as caught:
        training.train(begun)
    assert str(caught.value) == (
        f"the loss is nan in epoch 1, step 1, at rate 2.00e-03: the training diverged; use a "
        f"smaller --rate (the last good state is in {tmp_path / 'run' / LAST})"
    )
    monkeypatch.undo()
    assert training.resume(tmp_path / "run", ALONE).state.epoch == 0


def test_a_request_after_the_last_step_leaves_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(reader: OpenRun, split: Split) -> Evaluation:
        signal.raise_signal(signal.SIGINT)
        return evaluate(reader, split)

    monkeypatch.setattr(training, "evaluate", asked)
    run = tmp_path / "run"
    with pytest.raises(training.Interrupted):
        training.train(training.prepare(tiny(epochs=1), run, ALONE))
    monkeypatch.undo()
    (run / "log.csv").unlink()  # as after a kill between the checkpoint and the log
    assert len(training.train(training.resume(run, ALONE)).history) == 1
    assert len((run / "log.csv").read_text().splitlines()) == 2


def test_an_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(RunError) as caught:
        training.prepare(tiny(), tmp_path, ALONE)
    assert str(caught.value) == (
        f"{tmp_path} exists already: name another folder with --out, or go on with "
        f"--resume {tmp_path}"
    )


def test_a_run_of_other_data_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training.prepare(tiny(), tmp_path / "run", ALONE)
    other = load("digits", 0.3)
    monkeypatch.setattr(training, "load", lambda *_: other)
    with pytest.raises(RunError, match="was trained on other data than 'digits' holds now"):
        training.resume(tmp_path / "run", ALONE)


def test_schedule_rises_and_falls() -> None:
    factors = [training.schedule(step, 100, 0.1) for step in range(100)]
    assert factors[:10] == [pytest.approx((i + 1) / 10) for i in range(10)]
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert 0 < factors[-1] < 0.01


def _begun(folder: Path, *more: str) -> "subprocess.Popen[str]":
    arguments = ["train", "digits", "--out", str(folder), *TINY, "--epochs", "400", *more]
    return subprocess.Popen(
        command(*arguments),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _wait_for_epochs(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    log = folder / "log.csv"
    while not log.is_file() or len(log.read_text().splitlines()) <= count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_saves_and_leaves_and_the_run_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = _begun(folder)
    _wait_for_epochs(folder, 2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.splitlines()[-1] == (
        f"stopped and saved: go on with  faltung train --resume {folder}"
    )
    assert "Traceback" not in output
    done = run("train", "--resume", folder, "--max-time", "0", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "ended early: the time given by --max-time is over" in done.stdout
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_killed_run_resumes(tmp_path: Path, epochs: int) -> None:
    folder = tmp_path / "run"
    process = _begun(folder)
    if epochs:
        _wait_for_epochs(folder, epochs)
    else:
        deadline = time.monotonic() + 60
        while not (folder / LAST).is_file():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    process.kill()
    process.communicate()
    resumed = training.resume(folder, ALONE)
    assert resumed.state.epoch >= epochs
    assert not list(folder.glob(".unfinished-*"))


def test_two_processes_give_the_accuracy_of_one(tmp_path: Path) -> None:
    arguments = ["--epochs", "6", "--set", "widths=[[16],[32]]"]
    alone = run("train", "digits", "--out", tmp_path / "one", *arguments, "--threads", "1")
    launch = [
        command()[0], "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "faltung", "train", "digits", "--out", str(tmp_path / "two"), *arguments,
    ]  # fmt: skip
    together = subprocess.run(
        launch, env=environment(), capture_output=True, text=True, check=False, timeout=200
    )
    assert alone.returncode == together.returncode == 0, together.stderr
    assert together.stdout.count("test accuracy") == 1

    def accuracy(text: str) -> float:
        found = re.search(r"test accuracy ([\d.]+)%", text)
        assert found is not None
        return float(found[1])

    assert accuracy(together.stdout) > 93
    assert accuracy(together.stdout) == pytest.approx(accuracy(alone.stdout), abs=2.5)
