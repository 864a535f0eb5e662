"""The training of a reader."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from faltung.errors import RunError, TrainingError
from faltung.recognition import augment, checkpoint, files
from faltung.recognition import config as configuration
from faltung.recognition import state as states
from faltung.recognition.checkpoint import BEST, LAST, Facts, OpenRun, open_run
from faltung.recognition.config import Config
from faltung.recognition.dataset import Characters, Split, load
from faltung.recognition.distributed import Team
from faltung.recognition.evaluation import Evaluation, evaluate
from faltung.recognition.interruption import Interruption, watched
from faltung.recognition.progress import Display, Listener, Row, TensorBoard, write_log
from faltung.recognition.state import State

CONFIG = "config.yaml"
LOG = "log.csv"


class Interrupted(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The training was asked to stop, and has saved where it was."""


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        run: Folder of the run.
        opened: The network with the best weights.
        data: What it was trained on.
        test: How it reads the held-out test part.
        seconds: Time in training steps and validation.
        stopped: Why the training ended before its last epoch; empty where it did not.
        history: A row for each epoch.
    """

    run: Path
    opened: OpenRun
    data: Characters
    test: Evaluation
    seconds: float
    stopped: str
    history: list[Row]


@dataclass
class Training:
    """One training under way.

    Attributes:
        run: Folder of the run.
        config: What decides the outcome.
        data: What to learn.
        facts: What the network must know of the data.
        state: Everything that changes.
        team: The processes that train together.
        deadline: `time.monotonic()` at which to stop; infinite for none.
    """

    run: Path
    config: Config
    data: Characters
    facts: Facts
    state: State
    team: Team
    deadline: float

    @property
    def batch(self) -> int:
        """Images of a step."""
        return min(self.config.batch, len(self.data.train.labels))

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return len(self.data.train.labels) // self.batch


def require_new(run: Path) -> None:
    """Check that a folder can become a new run.

    Raises:
        RunError: It exists and is not empty, or is a file.
    """
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise RunError(
            f"{run} exists already: name another folder with --out, or go on with --resume {run}"
        )


def prepare(config: Config, run: Path, team: Team, max_time: float = math.inf) -> Training:
    """Make the folder of a new run, with a checkpoint from before the first step.

    Raises:
        RunError: The folder exists and is not empty.
        FaltungError: The data set cannot be loaded.
    """
    if team.leads:
        require_new(run)
    data = load(config.source, config.validation)
    facts = _facts(data)
    training = Training(
        run,
        config,
        data,
        facts,
        states.start(facts, config, team.device),
        team,
        time.monotonic() + max_time,
    )
    if training.batch < team.size:
        raise RunError(
            f"batch is {training.batch}, but there are {team.size} processes: use a larger batch"
        )
    if team.leads:
        run.mkdir(parents=True, exist_ok=True)
        configuration.save(config, run / CONFIG)
        states.save(training.state, facts, config, run / LAST)
    return training


def resume(run: Path, team: Team, max_time: float = math.inf) -> Training:
    """Take up a run where its last checkpoint left it.

    Raises:
        RunError: There is none, it is damaged, or the data set has changed.
    """
    _, notes = checkpoint.load(run / LAST)
    _, config = checkpoint.parse_notes(run / LAST, notes)
    data = load(config.source, config.validation)
    facts = _facts(data)
    state, config = states.restore(run / LAST, team.device, facts)
    if team.leads:
        files.clean(run)
        configuration.save(config, run / CONFIG)
        write_log(run / LOG, state.history)
    deadline = time.monotonic() + max_time
    return Training(run, config, data, facts, state, team, deadline)


def train(training: Training, *, tensorboard: bool = False) -> Outcome:
    """Train to the end, and measure the best weights on the test part.

    Raises:
        Interrupted: The process was asked to stop; the run can be resumed.
        TrainingError: The loss is no longer a number.
    """
    state, team = training.state, training.team
    done = state.epoch * training.steps + state.step
    listeners: list[Listener] = [TensorBoard(training.run)] if tensorboard and team.leads else []
    stopped = ""
    with watched() as interruption:
        if team.leads:
            with Display(training.config.epochs, training.steps, done) as display:
                stopped = _epochs(training, [display, *listeners], interruption)
        else:
            stopped = _epochs(training, [], interruption)
        if team.total(torch.tensor(float(interruption.requested), device=team.device)) > 0:
            raise Interrupted(str(training.run))
    if team.leads and not (training.run / BEST).exists():
        _keep(training, evaluate(_averaged(training), training.data.validation))
    team.agreed(0)
    opened = open_run(training.run)
    seconds = sum(row["seconds"] for row in state.history) + state.seconds
    test = evaluate(opened, training.data.test)
    return Outcome(training.run, opened, training.data, test, seconds, stopped, state.history)


def _facts(data: Characters) -> Facts:
    pixels = data.train.images.double() / 255
    std = max(float(pixels.std().item()), 1e-6)
    return Facts(data.classes, data.frame, float(pixels.mean().item()), std)


def _epochs(training: Training, listeners: Sequence[Listener], interruption: Interruption) -> str:
    """Train until the last epoch, or return why it ended earlier."""
    state, config, team = training.state, training.config, training.team
    model = team.wrapped(state.model)
    split = Split(training.data.train.images.to(team.device), training.data.train.labels)
    while state.epoch < config.epochs:
        if state.waited >= config.patience:
            return f"no better validation result for {state.waited} epochs"
        order = torch.randperm(
            len(split.labels), generator=states.generator(config.seed, state.epoch)
        )
        while state.step < training.steps:
            rows = order[state.step * training.batch :][: training.batch]
            stop = _step(training, model, split, rows, listeners, interruption)
            if stop is not None:
                _save(training)
                if stop == "interrupted":
                    raise Interrupted(str(training.run))
                return stop
        _end_epoch(training, listeners)
    return ""


def _step(
    training: Training,
    model: torch.nn.Module,
    split: Split,
    rows: Tensor,
    listeners: Sequence[Listener],
    interruption: Interruption,
) -> str | None:
    """Make one step; return why the processes agree to stop after it, or None."""
    state, config, team = training.state, training.config, training.team
    began = time.perf_counter()
    done = state.epoch * training.steps + state.step
    rate = config.rate * schedule(done, training.steps * config.epochs, config.warmup)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    total, right = _backward(training, model, split, rows)
    late = time.monotonic() > training.deadline
    flags = torch.tensor([interruption.requested, late], dtype=torch.float64, device=team.device)
    loss, count, interrupted, expired = team.total(torch.cat([total, right, flags])).tolist()
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} in epoch {state.epoch + 1}, step {state.step + 1}, at rate "
            f"{rate:.2e}: the training diverged; use a smaller --rate (the last good state is in "
            f"{training.run / LAST})"
        )
    state.optimizer.step()
    states.update_average(state, done + 1, config.ema)
    state.step += 1
    state.loss, state.right = state.loss + loss, state.right + count
    state.seconds += time.perf_counter() - began
    seen = state.step * training.batch
    for listener in listeners:
        listener.stepped(state.loss / seen, state.right / seen, rate, seen / state.seconds)
    if interrupted:
        return "interrupted"
    return "the time given by --max-time is over" if expired else None


def _backward(
    training: Training, model: torch.nn.Module, split: Split, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Make the gradients of a batch; return this process's loss and images read right, summed."""
    state, config, team = training.state, training.config, training.team
    # Maps are drawn for the whole batch, so that every number of processes trains on the same.
    maps = augment.draw(
        len(rows), config.augmentation, states.generator(config.seed, state.epoch, state.step)
    )
    mine = team.share(rows)
    images = augment.apply(split.images[mine].float() / 255, team.share(maps))
    if config.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = split.labels[mine].to(team.device)
    logits = model(training.facts.normalised(images))
    total = torch.nn.functional.cross_entropy(
        logits, labels, label_smoothing=config.label_smoothing, reduction="sum"
    )
    state.optimizer.zero_grad()
    (total * team.size / len(rows)).backward()  # processes average their gradients
    right = (logits.argmax(1) == labels).sum()
    return total.detach().double().reshape(1), right.double().reshape(1)


def schedule(step: int, steps: int, warmup: float) -> float:
    """Return the factor of the highest rate: up in a line, then down in half a cosine.

    >>> [round(schedule(step, 10, 0.2), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def _end_epoch(training: Training, listeners: Sequence[Listener]) -> None:
    """Validate, keep the best, log, save, and turn to the next epoch."""
    state, team = training.state, training.team
    began = time.perf_counter()
    seen = training.steps * training.batch
    result = evaluate(_averaged(training), training.data.validation)
    # Among equals the later weights are kept: they have seen more, at a lower rate.
    if result.accuracy >= state.best_accuracy and team.leads:
        _keep(training, result)
    state.waited = 0 if result.accuracy > state.best_accuracy else state.waited + 1
    state.best_accuracy = max(state.best_accuracy, result.accuracy)
    state.waited = int(team.agreed(state.waited))
    row = {
        "epoch": state.epoch + 1.0,
        "step": float((state.epoch + 1) * training.steps),
        "rate": float(state.optimizer.param_groups[0]["lr"]),
        "train_loss": state.loss / seen,
        "train_accuracy": state.right / seen,
        "validation_loss": result.loss,
        "validation_accuracy": result.accuracy,
        "seconds": state.seconds + time.perf_counter() - began,
        "images_per_second": seen / state.seconds,
    }
    state.history.append(row)
    state.epoch, state.step = state.epoch + 1, 0
    state.loss = state.right = state.seconds = 0.0
    _save(training)
    for listener in listeners:
        listener.ended(row)


def _averaged(training: Training) -> OpenRun:
    return OpenRun(training.state.average, training.facts, training.config)


def _keep(training: Training, result: Evaluation) -> None:
    notes = {
        **checkpoint.facts_as_notes(training.facts, training.config),
        "validation_accuracy": result.accuracy,
        "epoch": training.state.epoch + 1,
    }
    checkpoint.save(training.run / BEST, training.state.average.state_dict(), notes)


def _save(training: Training) -> None:
    if training.team.leads:
        states.save(training.state, training.facts, training.config, training.run / LAST)
        write_log(training.run / LOG, training.state.history)
