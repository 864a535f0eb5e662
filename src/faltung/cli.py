"""The command line: parses, calls, prints. What it calls is imported when it is needed."""

import dataclasses
import json
import math
import os
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from faltung.analysis_commands import COMMANDS as ANALYSIS
from faltung.commands import COMMANDS
from faltung.draw_commands import draw
from faltung.errors import ArgumentError, ConfigError, FaltungError, RunError
from faltung.lab_command import lab

if TYPE_CHECKING:
    from faltung.recognition.config import Config
    from faltung.recognition.distributed import Team
    from faltung.recognition.evaluation import Evaluation
    from faltung.recognition.train import Outcome, Training

INTERRUPTED = 130  # 128 + SIGINT, as shells report it

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The 2-D convolutional layer: a reader of handwritten characters, and the kernels below.",
)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 a goal missed, 2 bad input."""
    try:
        result: Any = app(arguments, standalone_mode=False)
    except (FaltungError, OSError) as error:  # a disk that is full, a folder that is not ours
        typer.echo(f"error: {error}", err=True)
        return 2
    except (typer.Exit, typer.Abort) as leaving:
        return int(getattr(leaving, "exit_code", 1))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's own complaints about arguments have it
            raise
        typer.echo(f"error: {error.format_message()}", err=True)
        return 2
    return int(result or 0)


def _version(wanted: bool) -> None:
    if wanted:
        from faltung import __version__

        typer.echo(f"faltung {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of every command."""


@app.command()
def train(
    source: Annotated[
        str | None, typer.Argument(help="digits (default), mnist, or a folder of class folders")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    seed: Annotated[int | None, typer.Option(help="Where all randomness comes from.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step.")] = None,
    rate: Annotated[float | None, typer.Option(help="Highest learning rate.")] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting, NAME=VALUE.")
    ] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Train with that many seeds.")] = 1,
    max_time: Annotated[float, typer.Option(min=0, help="Seconds a training may take.")] = math.inf,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the CPU.")] = None,
    target_accuracy: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 below this on the test part.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    tensorboard: Annotated[bool, typer.Option(help="Also log for TensorBoard.")] = False,
) -> int:
    """Train a reader, measure it on images it never saw, and write a report."""
    from faltung.recognition import config as configuration
    from faltung.recognition import train as training
    from faltung.recognition.distributed import team
    from faltung.recognition.progress import require_tensorboard

    flags = {"seed": seed, "epochs": epochs, "batch": batch, "rate": rate}
    given = {**_settings(setting or []), **{k: v for k, v in flags.items() if v is not None}}
    if resume is not None and (source or out or config or given or repeat > 1):
        raise ConfigError(
            "--resume goes on with the settings of its run: leave out the source and --out, "
            "--config, --set, --seed, --epochs, --batch, --rate and --repeat, or start a new run"
        )
    if device not in {"auto", "cpu", "cuda"}:
        raise ArgumentError(f"--device is {device!r}: it must be auto, cpu or cuda")
    if tensorboard:
        require_tensorboard()
    with team(device, threads) as together:
        if resume is not None:
            plans: list[tuple[configuration.Config | None, Path]] = [(None, resume)]
        else:
            plans = _plans(configuration.configure(source, config, given), out, repeat, together)
        outcomes = []
        for settings, folder in plans:
            begun = (
                training.resume(folder, together, max_time)
                if settings is None
                else training.prepare(settings, folder, together, max_time)
            )
            outcome = _trained(begun, tensorboard)
            if outcome is None:
                return INTERRUPTED
            outcomes.append(outcome)
    accuracies = [outcome.test.accuracy for outcome in outcomes]
    mean = statistics.mean(accuracies)
    if together.leads and len(accuracies) > 1:
        typer.echo(
            f"{len(accuracies)} seeds: mean {mean:.2%}, standard deviation "
            f"{statistics.stdev(accuracies) * 100:.2f} points, lowest {min(accuracies):.2%}, "
            f"highest {max(accuracies):.2%}"
        )
    if target_accuracy is not None and mean < target_accuracy:
        if together.leads:
            typer.echo(f"target missed: {mean:.2%} is below {target_accuracy:.2%}", err=True)
        return 1
    return 0


def _settings(pairs: list[str]) -> dict[str, Any]:
    settings = {}
    for text in pairs:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set is {text!r}: write NAME=VALUE, such as --set rotation=5")
        try:
            settings[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ConfigError(f"--set {name} is {value!r}: that is no value in YAML") from None
    return settings


def _plans(
    config: "Config", out: Path | None, repeat: int, team: "Team"
) -> "list[tuple[Config | None, Path]]":
    """Return the configuration and the folder, which is new, of every training."""
    from faltung.recognition.train import require_new

    moment = datetime.fromtimestamp(team.agreed(time.time())).astimezone()
    name = f"{Path(config.source).resolve().name}-{moment:%Y%m%d-%H%M%S}"
    folder = out or Path("runs") / name
    plans: list[tuple[Config | None, Path]] = [(config, folder)]
    if repeat > 1:
        seeds = range(config.seed, config.seed + repeat)
        plans = [(dataclasses.replace(config, seed=s), folder / f"seed-{s}") for s in seeds]
    if team.leads:
        for _, run in plans:
            require_new(run)
    return plans


def _trained(training: "Training", tensorboard: bool) -> "Outcome | None":
    """Train, say what came of it, and write the report; return None where it was interrupted."""
    from faltung.recognition.report import write_report
    from faltung.recognition.train import Interrupted
    from faltung.recognition.train import train as run_training

    leads = training.team.leads
    if leads:
        data, model = training.data, training.state.model
        parts = f"{len(data.train.labels)} training, {len(data.validation.labels)} validation, "
        typer.echo(f"{data.name}: {parts}{len(data.test.labels)} test images. {data.note}")
        typer.echo(
            f"model: {model.parameter_count():,} parameters; seed {training.config.seed}; "
            f"run {training.run}"
        )
    try:
        outcome = run_training(training, tensorboard=tensorboard)
    except Interrupted:
        if leads:
            typer.echo(f"stopped and saved: go on with  faltung train --resume {training.run}")
        return None
    if leads:
        if outcome.stopped:
            typer.echo(f"ended early: {outcome.stopped}")
        write_report(outcome)
        typer.echo(
            f"test accuracy {outcome.test.accuracy:.2%} ({_wrong(outcome.test)}) after "
            f"{outcome.seconds:.0f} s of training; report: {outcome.run / 'report.html'}"
        )
    return outcome


def _wrong(result: "Evaluation") -> str:
    return f"{len(result.mistakes())} of {len(result.labels)} images read wrong"


@app.command()
def evaluate(run: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Measure a trained run on the test part of its data set."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from faltung.recognition.checkpoint import open_run
    from faltung.recognition.dataset import load
    from faltung.recognition.evaluation import evaluate as evaluated

    opened = open_run(run)
    data = load(opened.config.source, opened.config.validation)
    if data.classes != opened.classes:
        raise RunError(
            f"{run} was trained on other classes than {data.name!r} holds now: bring the data back "
            f"as it was, or train anew"
        )
    result = evaluated(opened, data.test)
    table = Table("class", "precision", "recall", "F1", "images")
    for name, (precision, recall, f1, count) in zip(
        opened.classes, result.per_class(), strict=True
    ):
        table.add_row(escape(name), f"{precision:.2%}", f"{recall:.2%}", f"{f1:.2%}", str(count))
    Console().print(table)
    typer.echo(data.note)
    typer.echo(f"test accuracy {result.accuracy:.2%} ({_wrong(result)})")


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    images: Annotated[list[Path], typer.Argument(help="Image files; - reads standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line an image.")] = False,
) -> int:
    """Read one character off each image."""
    from faltung.recognition.checkpoint import open_run
    from faltung.recognition.prediction import NamedBytes, Unreadable
    from faltung.recognition.prediction import predict as predicted

    opened = open_run(run)
    sources = [
        NamedBytes("standard input", sys.stdin.buffer.read()) if str(image) == "-" else image
        for image in images
    ]
    failed = 0
    for answer in predicted(opened, sources):
        if isinstance(answer, Unreadable):
            failed = 1
            typer.echo(f"error: {answer.reason}", err=True)
            continue
        named = dict(zip(opened.classes, answer.probabilities, strict=True))
        if as_json:
            line = {"name": answer.name, "class": answer.character, "probabilities": named}
            typer.echo(json.dumps(line, ensure_ascii=False))
            continue
        first, *others = sorted(named.items(), key=lambda item: -item[1])[:3]
        rest = ", ".join(f"{name} {share:.1%}" for name, share in others)
        typer.echo(f"{answer.name}: {first[0]}  {first[1]:.1%}  (then {rest})")
    return failed


@app.command()
def edges(
    image: Annotated[Path, typer.Argument(help="A picture.")],
    kernel: Annotated[
        str,
        typer.Option(
            help="vertical, horizontal, sobel-x, sobel-y, sobel, laplacian, or numbers: 1,-1;2,-2"
        ),
    ] = "sobel",
    out: Annotated[Path | None, typer.Option(help="Where to save.")] = None,
) -> None:
    """Slide an edge kernel over a picture and save the response."""
    from faltung.recognition.edges import edges as edged

    typer.echo(f"saved {os.fspath(edged(image, kernel, out))}")


for command in (*COMMANDS, *ANALYSIS, lab):
    app.command()(command)
app.add_typer(draw, name="draw")
