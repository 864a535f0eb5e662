"""The benchmark, whole: a tiny run says and writes everything, and spoiled candidates show."""

import csv
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from faltung.bench import conditions, run
from faltung.bench.display import CLEAR_LINE
from faltung.bench.layer import parse
from faltung.bench.peers import Torch
from faltung.bench.problems import Problem
from faltung.bench.task import Prepared, Task
from faltung.errors import ArgumentError, MissingExtraError

TINY = "dense small ic4ih6oc4kh3ph1\nspecial wide g4ic4ih6oc4kh3ph1\npools pool max ic4ih6kh2sh2\n"


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """Return a list of three tiny problems."""
    file = tmp_path / "tiny.txt"
    file.write_text(TINY)
    return file


@dataclass(frozen=True)
class Spoiled(Torch):
    """A candidate that passes for ours, half as much again as it should be."""

    family: str = "ours"

    def prepare(self, task: Task) -> Prepared | None:
        """Return the task, whose results are wrong."""
        prepared = super().prepare(task)
        assert prepared is not None
        return Prepared(prepared.call, lambda y: tuple(1.5 * part for part in prepared.read(y)))


@dataclass(frozen=True)
class Broken(Torch):
    """Torch, which fails."""

    family: str = "broken"

    def prepare(self, task: Task) -> Prepared | None:
        """Fail.

        Raises:
            ValueError: Always.
        """
        raise ValueError("no such layer\nand more")


def test_a_spoiled_candidate_shows_its_error() -> None:
    problem = Problem("dense", "small", parse("ic4ih6oc4kh3ph1"))
    adapters = [Spoiled("nchw"), Torch("channels_last"), Broken("nchw")]
    with torch.no_grad():
        row = run.measured(problem, "weight", adapters, 1, 1.0)
    assert row.measured["ours nchw"].error == pytest.approx(0.5)
    assert row.measured["torch channels_last"].error < 1e-6
    assert dict(row.failed) == {"broken nchw": "ValueError: no such layer"}
    assert not row.healthy


def test_a_tiny_run_says_and_writes_everything(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    monkeypatch.setenv("FALTUNG_SOMETHING", "on")
    out, table, picture = io.StringIO(), tmp_path / "all.csv", tmp_path / "all.svg"
    before = torch.get_num_threads()
    code = run.main(
        problems=problems,
        peers=["torch"],
        threads=1,
        rounds=1,
        csv=table,
        picture=picture,
        peak=lambda: 100.0,
        out=out,
    )
    assert code == 0
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()
    said = out.getvalue().splitlines()
    for line in (
        "threads: 1",
        "dtype: float32",
        "ONEDNN_MAX_CPU_ISA: AVX2",
        "FALTUNG_SOMETHING: on",
        "peak: 100.0 GFLOP/s, fma peak",
        "rounds: 1, interleaved in shuffled order, at most 3 s a line; median",
        f"torch: {torch.__version__}",
    ):
        assert line in said
    (head,) = (at for at, line in enumerate(said) if line.startswith("problem"))
    measured = [line.split()[:2] for line in said[head + 1 : head + 9]]
    assert measured == [
        *(["small", direction] for direction in ("forward", "input", "weight")),
        *(["wide", direction] for direction in ("forward", "input", "weight")),
        *(["pool", direction] for direction in ("forward", "input")),
    ]
    assert said[head + 9].startswith("mean (worst)")
    text = table.read_text()
    notes = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    assert notes == said[: len(notes)]
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("# ")))
    assert [[row["name"], row["direction"]] for row in rows] == measured
    for row in rows:
        for name in ("ours nchw", "ours channels_last", "torch nchw", "torch channels_last"):
            assert float(row[name]) > 0
            assert float(row[f"{name} error"]) < 1e-6
            assert row[f"{name} samples"] == "1"
        assert float(row["ours/torch"]) == pytest.approx(float(row["ours/best"]))
        assert (row["of peak"] == "") == (row["group"] == "pools")
    drawn = picture.read_text()
    assert "<svg" in drawn


def test_a_wrong_kernel_of_ours_is_said_and_is_the_exit_code(
    problems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ADAPTERS", (Spoiled("nchw"), Torch("nchw")))
    monkeypatch.setattr(conditions, "REPEATS", 1)
    out = io.StringIO()
    assert run.main(problems=problems, match="pool", rounds=1, out=out, directions=["input"]) == 1
    assert "  pool input: ours nchw is WRONG, its relative error is 5.0e-01" in out.getvalue()
    assert "GFLOP/s, sgemm: torch.mm of 1024 x 1024, best of 1, a stand-in" in out.getvalue()


def test_what_was_measured_is_kept_when_somebody_interrupts(
    problems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, file = run.measured, tmp_path / "part.csv"

    def once(problem: Problem, *arguments: Any, **options: Any) -> Any:
        if problem.name != "small":
            raise KeyboardInterrupt
        return measured(problem, *arguments, **options)

    monkeypatch.setattr(run, "measured", once)
    with pytest.raises(KeyboardInterrupt):
        run.main(
            problems=problems,
            peers=[],
            directions=["forward"],
            rounds=1,
            csv=file,
            peak=lambda: 1.0,
            out=io.StringIO(),
        )
    assert [line.split(",")[1] for line in file.read_text().splitlines()[-1:]] == ["small"]


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        """Say that this is a terminal."""
        return True


def test_on_a_terminal_there_is_a_table_for_each_group(
    problems: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(run, "ADAPTERS", (Spoiled("nchw"), Torch("nchw")))
    out = Terminal()
    arguments: dict[str, Any] = {"rounds": 1, "directions": ["forward"], "peak": lambda: 1.0}
    run.main(problems=problems, out=out, **arguments)
    shown = out.getvalue()
    assert f"{CLEAR_LINE}2/3  special wide g4ic4ih6oc4kh3ph1 forward" in shown
    for part in ("dense", "special", "pools", "spread", "small", "wide", "pool"):
        assert part in shown
    assert "wide forward: ours nchw is WRONG" in shown
    monkeypatch.setitem(sys.modules, "rich.console", None)
    plain = Terminal()
    run.main(problems=problems, out=plain, **arguments)
    assert CLEAR_LINE not in plain.getvalue()
    heads = [line.split() for line in plain.getvalue().splitlines() if line.startswith("problem")]
    assert [head[:6] for head in heads] == [
        ["problem", "direction", "ours", "nchw", "torch", "nchw"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": ["wet"]}, "--groups has 'wet': it must be of dense, special, pools"),
        ({"directions": ["back"]}, "--directions has 'back': it must be of forward, input, weight"),
        (
            {"peers": ["keras"]},
            "--peers has 'keras': it must be of torch, compile, onnxruntime, openvino, jax",
        ),
        ({"dtype": "float16"}, "--dtype has 'float16': it must be of float32, bfloat16"),
        ({"threads": 0}, "--threads is 0: it must be at least 1"),
        ({"rounds": 0}, "--rounds is 0: it must be at least 1"),
        ({"seconds": 0.0}, "--seconds is 0.0: it must be more than 0"),
        (
            {"csv": Path("/nowhere/at/all.csv")},
            "--csv is /nowhere/at/all.csv: its folder does not exist; create it first",
        ),
        (
            {"groups": ["pools"], "directions": ["weight"]},
            "--directions is weight: pools have no weight gradient",
        ),
    ],
)
def test_arguments_outside_their_rules(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        run.main(**arguments)
    assert str(caught.value) == message


def test_missing_matplotlib_is_named_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError) as caught:
        run.main(picture=tmp_path / "all.png")
    assert str(caught.value) == (
        "--picture needs the package matplotlib, which is not installed: "
        'pip install "faltung[bench]"'
    )


def test_the_processor_has_a_name_where_linux_does_not_say_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert conditions.processor()

    def missing(*arguments: Any, **options: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert conditions.processor() == "arm"
