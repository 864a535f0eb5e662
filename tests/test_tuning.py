"""Tuning: what is right and fastest is remembered, and plans of all processes follow it."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from faltung import cli, tuning
from faltung import functional as F
from faltung.compiler import kernel, memory, planner
from faltung.compiler.algorithms import dense_plan, depthwise
from faltung.compiler.call import Call, ready
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem, parse
from faltung.compiler.store import Store
from faltung.errors import ArgumentError
from faltung.explain import why
from faltung.ops import ours

POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no owners of files")
TEXT = "conv forward g4ic4ih9oc4kh3"
TUNED = "the fastest of 2 when tuned"
FRESH = """
import sys
from pathlib import Path
from faltung.compiler import kernel
kernel.cache_folder = lambda: Path(sys.argv[1])
from faltung.compiler import planner
from faltung.compiler.problem import parse
from faltung.ops import ours
found = planner.explain(parse(sys.argv[2]), ours.target(), int(sys.argv[3]))
print(found.plan.algorithm, found.reason, sep=": ")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which this test's process keeps kernels and choices."""
    kept = tmp_path / "kernels"
    store = Store(kept, kernel.fingerprint())
    monkeypatch.setattr(kernel, "store", lambda: store)
    return kept


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return what every measurement will have found: the seconds of algorithms."""
    seconds = {"depthwise": 2.0, "dense": 1.0}

    def medians(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
        for call in calls.values():
            call()
        return {name: seconds[name] for name in calls}

    monkeypatch.setattr(tuning, "medians", medians)
    return seconds


def explained(problem: Problem | None = None) -> planner.Explanation:
    """Return what the planner says to the problem of these tests, or another."""
    return planner.explain(problem or parse(TEXT), ours.target(), ours.threads())


def fresh(folder: Path) -> str:
    """Return which algorithm a new process chooses, and why."""
    arguments = [str(folder.parent), TEXT, str(ours.threads())]
    done = subprocess.run(
        [sys.executable, "-c", FRESH, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_fastest_is_remembered_and_used(folder: Path, measured: dict[str, float]) -> None:
    assert (explained().plan.algorithm, explained().reason) == ("depthwise", planner.FIRST)
    assert not folder.exists()
    (tuned,) = tuning.tune([parse(TEXT)])
    assert (tuned.choice, tuned.remembered, tuned.right) == ("dense", True, True)
    assert [(c.algorithm, c.seconds) for c in tuned.candidates] == list(measured.items())
    found = explained()
    assert (found.plan.algorithm, found.reason) == ("dense", TUNED)
    assert dict(found.refusals)["depthwise"] == f"dense, {TUNED}, takes it"
    assert {name for name, _ in found.refusals} == {a.NAME for a in planner.ALGORITHMS} - {"dense"}
    assert f"\nalgorithm  dense, {TUNED}\n" in str(why(TEXT))
    assert fresh(folder) == f"dense: {TUNED}"
    assert [path.name for path in folder.iterdir() if path.suffix != ".kernel"] == [memory.NAME]


def test_what_the_setting_names_comes_before_what_is_remembered(
    folder: Path, measured: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALTUNG_ALGORITHM", "winograd, dense")  # the first refuses
    assert fresh(folder) == f"dense: {planner.NAMED}"
    assert dict(explained().refusals)["depthwise"] == f"dense, {planner.NAMED}, takes it"
    tuning.tune([parse(TEXT)])
    monkeypatch.setenv("FALTUNG_ALGORITHM", "depthwise")
    assert (explained().plan.algorithm, explained().reason) == ("depthwise", planner.NAMED)
    monkeypatch.setenv("FALTUNG_ALGORITHM", "fft")
    with pytest.raises(ArgumentError, match="FALTUNG_ALGORITHM has 'fft', which is no algorithm"):
        explained()


def test_operators_follow_what_is_remembered(
    anew: None, folder: Path, measured: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning.tune([parse(TEXT)])
    chosen: list[str] = []

    def spy(plan: Plan, *rest: Any) -> Call:
        chosen.append(plan.algorithm)
        return ready(plan, *rest)

    monkeypatch.setattr(ours, "ready", spy)
    x, w = torch.randn(1, 4, 9, 9), torch.randn(4, 1, 3, 3)
    torch.testing.assert_close(F.conv2d(x, w, groups=4), torch.conv2d(x, w, groups=4))
    assert chosen == ["dense"]


@pytest.mark.parametrize(("dense", "choice"), [(1.95, "depthwise"), (1.94, "dense")])
def test_less_than_three_percent_is_no_reason(
    dense: float, choice: str, folder: Path, measured: dict[str, float]
) -> None:
    tuning.tune([parse(TEXT)])
    measured["dense"] = dense
    (tuned,) = tuning.tune([parse(TEXT)])
    assert (tuned.choice, tuned.remembered) == (choice, choice == "dense")
    assert explained().plan.algorithm == choice


def test_only_the_very_problem_is_remembered(folder: Path, measured: dict[str, float]) -> None:
    tuning.tune([parse(TEXT)])
    for other in (replace(parse(TEXT), precision="high"), parse(TEXT + " rows channels")):
        assert explained(other).reason == planner.FIRST
    more = planner.explain(parse(TEXT), ours.target(), ours.threads() + 1)
    assert more.reason == planner.FIRST


def test_what_refuses_is_not_chosen(folder: Path) -> None:
    key = memory.key(parse(TEXT), ours.target(), ours.threads())
    for name in ("pooling", "nothing of ours"):
        memory.choices().remember(key, name)
        assert explained().plan.algorithm == "depthwise"


def test_a_remembered_guarded_plan_keeps_a_substitute(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plans(*asked: Any) -> list[Any]:
        plan = dense_plan.plans(*asked)[0]
        steps = tuple(replace(step, guards=True) for step in plan.steps)
        return [replace(plan, algorithm="guard", steps=steps)]

    guard = SimpleNamespace(NAME="guard", refuses=lambda *_: None, plans=plans)
    key = memory.key(parse(TEXT), ours.target(), ours.threads())
    monkeypatch.setattr(planner, "ALGORITHMS", (depthwise, guard))
    memory.choices().remember(key, "guard")
    found = explained()
    assert found.plan.algorithm == "guard"
    assert found.otherwise is not None
    assert found.otherwise.algorithm == "depthwise"


def test_what_is_wrong_is_never_chosen(
    folder: Path, measured: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(problem: Problem, *rest: Any) -> list[Any]:
        """Plan another problem: one whose window is turned."""
        return dense_plan.plans(replace(problem, flip=True), *rest)

    def broken(*_: Any) -> list[Any]:
        raise RuntimeError("it broke")

    for plans, words in ((spoiled, "elements of the output are off"), (broken, "it broke")):
        fake = SimpleNamespace(NAME="dense", refuses=dense_plan.refuses, plans=plans)
        monkeypatch.setattr(planner, "ALGORITHMS", (depthwise, fake))
        (tuned,) = tuning.tune([parse(TEXT)])
        assert (tuned.choice, tuned.remembered, tuned.right) == ("depthwise", False, False)
        assert tuned.candidates[1].seconds is None
        assert words in str(tuned.candidates[1].fault)
        assert f"  dense      wrong: {tuned.candidates[1].fault}" in str(tuned).splitlines()

        measured["depthwise"] = 0.5  # of two, the right one: however slow, and though not the first
        fake.NAME, right = "depthwise", SimpleNamespace(**vars(fake))
        right.NAME, right.plans = "dense", dense_plan.plans
        monkeypatch.setattr(planner, "ALGORITHMS", (fake, right))
        (tuned,) = tuning.tune([parse(TEXT)])
        assert (tuned.choice, tuned.remembered, tuned.right) == ("dense", True, False)

        monkeypatch.setattr(planner, "ALGORITHMS", (fake,))
        (tuned,) = tuning.tune([parse(TEXT)])
        assert (tuned.choice, tuned.remembered) == (None, False)


def test_the_command_tells_and_forgets(
    folder: Path, measured: dict[str, float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "list"
    listed.write_text(f"# problems\n\n{TEXT}  # one\n")
    measured["pooling"] = 0.5
    assert cli.run(["tune", "max ic3ih8kh2sh2", "--list", str(listed)]) == 0
    out = capsys.readouterr().out.splitlines()
    rate = parse("max ic3ih8kh2sh2").bytes / 0.5e9
    assert out[1:3] == [
        f"  pooling        500 ms  {rate:7.3g} GB/s  ok",
        f"  choice: pooling, {planner.FIRST}",
    ]
    assert out[3] == str(parse(TEXT))
    assert out[5] == f"  dense           1000 ms  {2 * parse(TEXT).macs / 1e9:7.3g} GFLOP/s  ok"
    assert out[6:] == ["  choice: dense, remembered"]
    assert cli.run(["tune", "--forget"]) == 0
    assert capsys.readouterr().out == "forgotten  1 choices\n"
    assert not (folder / memory.NAME).exists()
    assert explained().plan.algorithm == "depthwise"
    assert fresh(folder) == f"depthwise: {planner.FIRST}"


@POSIX
def test_the_command_tells_trouble(
    folder: Path, measured: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    assert cli.run(["tune", TEXT]) == 1
    told = capsys.readouterr()
    assert told.out.endswith("  choice: dense, but it could not be remembered\n")
    assert told.err.startswith(f"trouble: no choices are remembered: {folder} can be written by")


def test_the_command_names_what_is_wrong(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["tune"]) == 2
    assert "no problem is given" in capsys.readouterr().err
    assert cli.run(["tune", "--list", str(tmp_path)]) == 2
    assert "which cannot be read" in capsys.readouterr().err


def test_medians_are_of_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SECONDS", 0.0)
    monkeypatch.setattr(tuning, "SAMPLE", 0.0)
    made: list[str] = []
    calls = {name: lambda name=name: made.append(name) for name in ("a", "b")}
    assert tuning.medians(calls).keys() == {"a", "b"}
    assert made.count("a") == made.count("b") == tuning.ROUNDS + 2  # and two that count them
