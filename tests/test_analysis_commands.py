"""faltung summary, receptive-field and cost, as a user runs them."""

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from support import run as process

from faltung import cli
from faltung.analysis import Checked, loading, measure
from faltung.errors import ModelError
from faltung.recognition import checkpoint
from faltung.recognition.config import configure
from faltung.recognition.framing import Frame

MODEL = """
import torch
from beside import channels
from torch import nn


class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 5)
        self.fc = nn.Linear(channels * 12 * 12, 10)

    def forward(self, x):
        return self.fc(torch.max_pool2d(self.conv(x), 2).flatten(1))


class Sized(Net):
    def __init__(self, classes, *, deep):
        super().__init__()


def made():
    return Net()


def broken():
    raise KeyError("weights")


ready = Net()
number = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("channels = 6\n")
    found = tmp_path / "model.py"
    found.write_text(MODEL)
    return found


@pytest.fixture(autouse=True)
def _imports_forgotten() -> None:
    for name in ("beside", "faltung_model_model"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["Net", "made", "ready"])
def test_summary_of_a_class_a_function_and_an_instance(
    name: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = list(sys.path)
    assert cli.run(["summary", f"{file}:{name}", "--input", "1x28x28"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["conv", "max_pool2d", "flatten", "fc"]
    assert lines[-1].startswith("Net for 1x1x28x28: 8,806 parameters, 95.04 k MACs, ")
    assert sys.path == path


def test_forms_of_output(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [f"{file}:Net", "--input", "1x28x28"]
    for command in ("summary", "cost"):
        assert cli.run([command, *asked, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["totals"]["parameters"] == 8806
        assert cli.run([command, *asked, "--csv"]) == 0
        table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [row["path"] for row in table] == ["conv", "max_pool2d", "flatten", "fc"]
        assert cli.run([command, *asked, "--markdown"]) == 0
        assert capsys.readouterr().out.splitlines()[1].startswith("| --- | --- | ---: |")
    assert cli.run(["receptive-field", *asked, "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields[1]["rows"] == {"size": 6, "jump": 2, "start": 0}
    assert (fields[1]["map"], fields[1]["image"]) == ([12, 12], [28, 28])
    assert cli.run(["receptive-field", *asked, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "conv,Conv2d,5,1,0,5,1,0,24x24,28x28,"
    assert cli.run(["receptive-field", *asked]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[-4:] == ["5", "1", "0", "5"]
    assert cli.run(["receptive-field", *asked, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| layer | kind | output | kernel |")


def test_a_table_on_a_terminal(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "is_terminal", property(lambda _: True))
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.run(["summary", f"{file}:Net", "--input", "1x28x28"]) == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert "Net for 1x1x28x28" in shown
    assert "\u250f\u2501" in shown
    words = " ".join(shown.split())
    assert "left out, for a wider terminal, --csv or --json: FLOPs/byte" in words
    assert max(map(len, shown.splitlines()[:-1])) <= 100


def test_measure(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("summary", "cost"):
        assert cli.run([command, f"{file}:Net", "--input", "2x1x28x28", "--measure"]) == 0
        shown = capsys.readouterr().out
        assert shown.splitlines()[0].endswith("forward ms  backward ms")
        assert " ms forward, " in shown.splitlines()[-1]


@pytest.mark.parametrize("command", ["summary", "receptive-field"])
def test_verify(
    command: str,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = [command, f"{file}:Net", "--input", "1x28x28", "--verify"]
    assert cli.run(asked) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-5:] == [
        "conv: 5 x 5 agrees with the gradients",
        "max_pool2d: 6 x 6 agrees with the gradients",
        "flatten: 28 x 28 agrees with the gradients",
        "fc: 28 x 28 agrees with the gradients",
        "4 of 4 layers agree",
    ]
    spoiled = measure.Checked("conv", "Conv2d", ((0, 0),), ((range(5), range(5)),), None)
    wrong = Checked("fc", "Linear", ((0, 0),), ((range(5), range(5)),), ((range(4), range(5)),))
    monkeypatch.setattr("faltung.analysis.verify", lambda *_: iter([spoiled, wrong]))
    assert cli.run(asked) == 1
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "conv: has no gradient, nothing to compare",
        "fc: DIFFERS at ((0, 0),)",
        "  computed ((range(0, 5), range(0, 5)),)",
        "  measured ((range(0, 4), range(0, 5)),)",
        "1 of 2 layers agree",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{}:Net"], "--input is missing: write the sizes of an image, such as 1x28x28"),
        (["{}:Net", "--input", "1xhigh"], "--input is '1xhigh': write whole sizes with x between"),
        (["{}:Net", "--input", "28x28"], "input[0] is 28x28: an image has channels, height and wi"),
        (["{}:Net", "--input", "3x28x28"], "layer conv (Conv2d) does not fit what reaches it: wei"),
        (["{}:Nat", "--input", "1x28x28"], "{} has no Nat; did you mean Net?"),
        (
            ["{}:zzz", "--input", "1x28x28"],
            "{0} has no zzz: write one of {0}:Net, {0}:Sized, {0}:ready",
        ),
        (["{}:Net.zzz.y", "--input", "1x28x28"], "{} has no Net.zzz.y"),
        (
            ["{}", "--input", "1x28x28"],
            "{0} names no model in it: write one of {0}:Net, {0}:Sized, {0}:ready",
        ),
        (
            ["{}:Sized", "--input", "1x28x28"],
            "{}:Sized needs arguments (classes, deep): add a function without arguments that",
        ),
        (["{}:broken", "--input", "1x2x2"], "{}:broken raises KeyError: 'weights' (model.py, line"),
        (
            ["{}:number", "--input", "1x2x2"],
            "{}:number is a int: it must be a torch.nn.Module, its class, or a function without",
        ),
        (["none.py:Net", "--input", "1x2x2"], "none.py does not exist: name it as model.py:Net,"),
        (["none.such:Net", "--input", "1x2x2"], "no module is named none.such: name it as model."),
        (["no such:Net", "--input", "1x2x2"], "'no such:Net' is neither a file, a module nor a"),
        ([":Net", "--input", "1x2x2"], "':Net' is neither a file, a module nor a folder: name it"),
        (["math:pi", "--input", "1x2x2"], "math:pi is a float: it must be a torch.nn.Module"),
        (["math", "--input", "1x2x2"], "math names no model in it: it defines no torch.nn.Module"),
        (
            ["{}:Net", "--input", "1x28x28", "--json", "--csv"],
            "--json and --csv are both asked for",
        ),
        (
            ["{}:Net", "--input", "1x28x28", "--json", "--verify"],
            "--verify prints lines of its own: leave out --json",
        ),
    ],
)
def test_what_is_wrong_is_named(
    arguments: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["summary", *(argument.format(file) for argument in arguments)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {message.format(file)}")
    assert told.out == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def (:", r"raises SyntaxError: invalid syntax \(.*line 1\)"),
        ("import nothing_at_all", r"raises ModuleNotFoundError: No module named .*py, line 1\)"),
        ("raise SystemExit(3)", r"raises SystemExit: 3 \(bad.py, line 1\)"),
        ("1 / 0", r"raises ZeroDivisionError: division by zero \(bad.py, line 1\)"),
    ],
)
def test_files_that_do_not_run(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(ModelError, match=words):
        loading.load(f"{file}:Net")
    assert "faltung_model_bad" not in sys.modules


def test_folders_that_are_no_runs(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["cost", str(file.parent), "--input", "1x28x28"]) == 2
    assert "is a folder: name it as model.py:Net" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert cli.run(["cost", str(tmp_path / "empty")]) == 2
    assert "does not exist: name the folder of a run made by" in capsys.readouterr().err


def test_models_of_a_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["summary", "networks:LeNet", "--input", "1x32x32"]) == 0
    assert "61,706 parameters" in capsys.readouterr().out


def test_inputs_without_rows(capsys: pytest.CaptureFixture[str], file: Path) -> None:
    file.write_text("from torch import nn\nnet = nn.Linear(3, 2)\n")
    assert cli.run(["receptive-field", f"{file}:net", "--input", "5x3"]) == 2
    assert "--input has no rows and columns: receptive" in capsys.readouterr().err


def test_a_trained_run_as_a_process(tmp_path: Path) -> None:
    config = configure("digits", None, {})
    facts = checkpoint.Facts(tuple("0123456789"), Frame(8, 8, "box"), 0.5, 0.25)
    model = checkpoint.build(facts, config)
    notes = checkpoint.facts_as_notes(facts, config)
    checkpoint.save(tmp_path / checkpoint.BEST, model.state_dict(), notes)
    done = process("summary", tmp_path, "--verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Reader for 1x1x8x8: {model.parameter_count():,} parameters, " in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" layers agree")
    assert "DIFFERS" not in done.stdout
