"""The command as a user runs it: real processes, exit codes, messages."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import TINY, environment, run

from faltung import __version__, cli
from faltung.recognition import dataset
from faltung.recognition import train as training


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = run("train", "digits", "--out", folder, "--epochs", "8", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "writers" in done.stdout
    assert "75,434 parameters" in done.stdout
    return folder


def test_help_is_quick_and_imports_no_torch() -> None:
    code = "import sys, faltung.cli; sys.exit('torch' in sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], env=environment(), check=False)
    assert imported.returncode == 0
    began = time.monotonic()
    assert "train" in run("--help").stdout
    assert time.monotonic() - began < 20


def test_version() -> None:
    assert run("--version").stdout == f"faltung {__version__}\n"


def test_report_and_samples(trained: Path) -> None:
    page = (trained / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "http" not in page
    assert {p.name for p in (trained / "pictures").iterdir()} == {
        f"{n}.png" for n in ("curves", "confusion", "classes", "mistakes", "kernels", "features")
    }
    assert len(list((trained / "samples").iterdir())) == 10


def test_predict_reads_samples_back(trained: Path) -> None:
    samples = sorted((trained / "samples").iterdir())
    done = run("predict", trained, *samples)
    assert done.returncode == 0, done.stderr
    right = 0
    for line, sample in zip(done.stdout.splitlines(), samples, strict=True):
        name, _, read = line.partition(": ")
        assert name == str(sample)
        right += read[0] == sample.stem[-1]
    assert right >= 9


def test_predict_goes_on_after_a_bad_file_and_reads_standard_input(
    trained: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    sample = sorted((trained / "samples").iterdir())[3]
    done = run("predict", trained, bad, "-", "--json", stdin=sample.read_bytes())
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert str(bad) in done.stderr
    answer = json.loads(done.stdout)
    assert answer["name"] == "standard input"
    assert answer["class"] == sample.stem[-1]
    assert sum(answer["probabilities"].values()) == pytest.approx(1)


def test_evaluate_prints_the_accuracy_of_training(trained: Path) -> None:
    done = run("evaluate", trained)
    assert done.returncode == 0, done.stderr
    assert "precision" in done.stdout
    found = done.stdout.splitlines()[-1]
    assert found.startswith("test accuracy 9")
    assert found.split()[2] in (trained / "report.html").read_text().replace(" %", "%")


def test_edges_saves_a_picture(tmp_path: Path) -> None:
    picture = np.ones((6, 8), np.uint8) * 255
    picture[:, 2:6] = 0
    Image.fromarray(picture).save(tmp_path / "x.png")
    done = run("edges", tmp_path / "x.png", "--kernel", "vertical")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"saved {tmp_path / 'x-edges.png'}\n"
    saved = np.asarray(Image.open(tmp_path / "x-edges.png"))
    assert saved.shape == (6, 7)
    assert saved[0, 1] > 250
    assert saved[0, 5] < 5
    assert np.all(saved[:, [0, 2, 3, 4, 6]] == 128)


def test_a_missed_target_is_exit_code_1(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run("train", "digits", "--out", out, *TINY, "--epochs", "1", "--target-accuracy", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("target missed: ")


def test_repeat_prints_mean_and_spread(tmp_path: Path) -> None:
    done = run("train", "digits", "--out", tmp_path / "r", *TINY, "--repeat", "2", "--seed", "4")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "r").iterdir()} == {"seed-4", "seed-5"}
    assert done.stdout.splitlines()[-1].startswith("2 seeds: mean ")


BAD = [
    (
        ("train", "nothing-here"),
        "error: 'nothing-here' is neither 'digits' nor 'mnist' nor a folder that exists: name one "
        "of the two, or a folder with one sub-folder of images a class",
    ),
    (
        ("train", "--set", "rotation"),
        "error: --set is 'rotation': write NAME=VALUE, such as --set rotation=5",
    ),
    (("train", "--set", "rotation=["), "error: --set rotation is '[': that is no value in YAML"),
    (("train", "--device", "tpu"), "error: --device is 'tpu': it must be auto, cpu or cuda"),
    (("train", "--epochs", "0"), "error: epochs is 0: it must be at least 1"),
    (
        ("train", "--resume", "x", "--epochs", "3"),
        "error: --resume goes on with the settings of its run: leave out the source and --out, "
        "--config, --set, --seed, --epochs, --batch, --rate and --repeat, or start a new run",
    ),
    (
        ("evaluate", "nowhere"),
        "error: nowhere/best.safetensors does not exist: name the folder of a run made by "
        "`faltung train`",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert cli.run(list(arguments)) == 2
    assert capsys.readouterr().err.rstrip("\n") == message
    assert list(tmp_path.iterdir()) == []


def test_bad_input_of_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("train", "--epochs", "0")
    assert done.returncode == 2
    assert done.stderr == "error: epochs is 0: it must be at least 1\n"
    assert list(tmp_path.iterdir()) == []


def test_an_argument_of_another_type_is_named() -> None:
    done = run("train", "--epochs", "x")
    assert done.returncode == 2
    assert done.stderr.startswith("error: Invalid value for '--epochs': ")
    assert "Traceback" not in done.stderr


def test_a_missing_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['typer'] = None\n"
        "from faltung.__main__ import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: the command needs the package typer, which is not installed: "
        'pip install "faltung[reader]"\n'
    )


def test_a_run_that_exists_is_refused_before_the_first_of_a_series(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "r" / "seed-1"
    taken.mkdir(parents=True)
    (taken / "x").write_text("")
    file = tmp_path / "file"
    file.write_text("")
    for out, named in ((tmp_path / "r", taken), (file, file / "seed-0")):
        code = cli.run(["train", "digits", *TINY, "--repeat", "2", "--out", str(out)])
        assert code == 2
        assert str(named) in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == [file, tmp_path / "r", taken, taken / "x"]


def test_a_run_is_not_measured_on_other_classes(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = replace(dataset.load("digits", 0.1), classes=tuple("abcdefghij"))
    monkeypatch.setattr(dataset, "load", lambda *_: other)
    assert cli.run(["evaluate", str(trained)]) == 2
    assert capsys.readouterr().err == (
        f"error: {trained} was trained on other classes than 'digits' holds now: bring the data "
        f"back as it was, or train anew\n"
    )


def test_names_that_look_like_markup_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    named = replace(dataset.load("digits", 0.1), classes=("[bold]", *"123456789"))
    monkeypatch.setattr(dataset, "load", lambda *_: named)
    monkeypatch.setattr(training, "load", lambda *_: named)
    assert cli.run(["train", "digits", *TINY, "--epochs", "1", "--out", str(tmp_path / "r")]) == 0
    assert cli.run(["evaluate", str(tmp_path / "r")]) == 0
    assert "[bold]" in capsys.readouterr().out


def test_missing_tensorboard_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert cli.run(["train", "--tensorboard", "--out", str(tmp_path / "r")]) == 2
    assert capsys.readouterr().err == (
        "error: --tensorboard needs the package tensorboard, which is not installed: "
        'pip install "faltung[tensorboard]"\n'
    )
    assert list(tmp_path.iterdir()) == []
