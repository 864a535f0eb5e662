"""The commands about kernels as a user runs them: real processes where it matters."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import command, environment

from faltung import cli, selfcheck
from faltung.accuracy import PRECISIONS
from faltung.bench import run as bench
from faltung.bench import whole_run as whole
from faltung.ops.watching import float32_precision

TEXT = ("conv", "ic3ih9oc4kh3")


@pytest.fixture
def faltung(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Return the command in processes that keep their kernels in a folder of the test."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            env=environment(XDG_CACHE_HOME=str(tmp_path)),
        )

    return run


def test_kernels_are_stored_listed_and_removed(
    faltung: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    folder = tmp_path / "faltung" / "kernels"
    empty = f"folder   {folder}\nkernels  0, 0 of them of this version\nbytes    0 of at most 268"
    assert faltung("cache").stdout.startswith(empty)
    assert not folder.exists()

    for words in (r", compiled in [\d.]+ ms\n", r", loaded from the store in [\d.]+ ms\n"):
        done = faltung("why", *TEXT)
        assert (done.returncode, done.stderr) == (0, "")
        assert "runs       ours: a kernel of ours computes conv2d\n" in done.stdout
        assert re.search(words, done.stdout)
        assert "measured" not in done.stdout

    size = sum(kept.stat().st_size for kept in folder.iterdir())
    listed = faltung("cache").stdout.splitlines()
    assert listed[1] == "kernels  2, 2 of them of this version"
    assert listed[2] == f"bytes    {size:,} of at most 268,435,456"
    cleared = faltung("cache", "--clear")
    assert (cleared.returncode, cleared.stdout) == (0, f"folder   {folder}\nremoved  2 kernels\n")
    assert list(folder.iterdir()) == []


def test_trouble_with_the_folder_is_told(
    faltung: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    folder = tmp_path / "faltung" / "kernels"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    done = faltung("cache")
    assert done.returncode == 1
    assert done.stderr.startswith(f"trouble: no kernels are loaded or stored: {folder} can be wri")
    assert done.stderr.rstrip().endswith(f"chmod 700 {folder}")


def test_the_cache_is_looked_at_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom faltung.cli import run\n"
        "code = run(['cache'])\nsys.exit(code or 'torch' in sys.modules)"
    )
    here = environment(XDG_CACHE_HOME=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], env=here, check=False)
    assert done.returncode == 0


def test_why_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["why", *TEXT, "--measure"]) == 0
    assert re.search(r"\nmeasured   [\d.]+ ms, .* GFLOP/s, median\n", capsys.readouterr().out)


def test_why_names_what_is_no_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["why", "ic3ih4kh9"]) == 2
    assert capsys.readouterr().err == (
        "error: 'ic3ih4kh9': the window is larger than the padded image; pad more\n"
    )


@pytest.mark.parametrize(
    ("right", "code", "words"),
    [(True, 0, "nothing was wrong"), (False, 1, "some kernels are wrong: see FAILED above")],
)
def test_selfcheck_says_what_came_of_it(
    right: bool,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def check(report: Callable[[str], object], seconds: float) -> bool:
        report(f"a line, {seconds:g} s")
        return right

    monkeypatch.setattr(selfcheck, "check", check)
    assert cli.run(["selfcheck", "--seconds", "7"]) == code
    assert capsys.readouterr().out == f"a line, 7 s\n{words}\n"


def test_bench_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    passed: dict[str, Any] = {}
    monkeypatch.setattr(bench, "main", lambda **options: passed.update(options) or 1)
    csv, picture = tmp_path / "x.csv", tmp_path / "x.png"
    lists = ["--groups", "dense,pools", "--directions", "weight", "--peers", "torch"]
    numbers = ["--threads", "3", "--rounds", "4", "--seconds", "0.5", "--match", "re.*net"]
    files = ["--csv", str(csv), "--picture", str(picture)]
    assert cli.run(["bench", *lists, *numbers, *files]) == 1
    assert callable(passed.pop("peak"))
    assert passed == {
        "groups": ["dense", "pools"],
        "directions": ["weight"],
        "peers": ["torch"],
        "threads": 3,
        "rounds": 4,
        "seconds": 0.5,
        "match": "re.*net",
        "csv": csv,
        "picture": picture,
    }
    passed.clear()
    assert cli.run(["bench"]) == 1
    assert passed.keys() == {"match", "threads", "csv", "picture", "peak"}


def test_bench_of_networks_passes_its_options_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passed: dict[str, Any] = {}
    monkeypatch.setattr(whole, "main", lambda **options: passed.update(options) or 1)
    csv = tmp_path / "x.csv"
    numbers = ["--batch", "1,8,1", "--threads", "3", "--rounds", "4", "--seconds", "0.5"]
    assert cli.run(["bench", "--networks", *numbers, "--match", "net", "--csv", str(csv)]) == 1
    assert callable(passed.pop("peak"))
    assert passed == {
        "batches": [1, 8],
        "threads": 3,
        "rounds": 4,
        "seconds": 0.5,
        "match": "net",
        "csv": csv,
        "training": False,
    }
    passed.clear()
    assert cli.run(["bench", "--networks", "--train"]) == 1
    assert passed.pop("training") is True
    assert passed.keys() == {"match", "threads", "csv", "peak"}


def test_bench_turns_the_dial_of_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def main(**_: Any) -> int:
        seen.append(float32_precision())
        return 0

    for module in (bench, whole):
        monkeypatch.setattr(module, "main", main)
    for word in PRECISIONS:
        assert cli.run(["bench", "--precision", word]) == 0
        assert cli.run(["bench", "--networks", "--precision", word]) == 0
    assert cli.run(["bench"]) == 0
    assert seen == [*(word for word in PRECISIONS for _ in range(2)), "highest"]


def test_bench_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = tmp_path / "x.csv"
    options = ["--groups", "dense", "--directions", "forward", "--peers", "torch", "--threads", "1"]
    short = ["--match", "lenet", "--rounds", "1", "--seconds", "0.1", "--csv", str(csv)]
    assert cli.run(["bench", *options, *short]) == 0
    assert "GFLOP/s, fma peak" in capsys.readouterr().out
    assert "lenet" in csv.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--groups", "all"], "error: --groups has 'all': it must be of dense, special, pools\n"),
        (["--threads", "0"], "error: --threads is 0: it must be at least 1\n"),
        (
            ["--precision", "low"],
            "error: --precision has 'low': it must be of highest, high, medium\n",
        ),
        (["--rounds", "0"], "error: --rounds is 0: it must be at least 1\n"),
        (["--networks", "--seconds", "0"], "error: --seconds is 0.0: it must be more than 0\n"),
        (
            ["--networks", "--batch", "1,few"],
            "error: --batch has 'few': it must be of whole numbers from 1, such as --batch 1,16\n",
        ),
        (
            ["--networks", "--groups", "dense", "--picture", "x.png"],
            "error: --networks is given with --groups, --picture, which are for layers: leave out "
            "--networks, or these\n",
        ),
        (
            ["--batch", "4"],
            "error: --batch is 4: it is for whole networks, layers have theirs in the list; add "
            "--networks or leave it out\n",
        ),
        (
            ["--train"],
            "error: --train is given: it is for whole networks, layers have --directions; add "
            "--networks or leave it out\n",
        ),
    ],
)
def test_bench_names_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["bench", *arguments]) == 2
    assert capsys.readouterr().err == message
