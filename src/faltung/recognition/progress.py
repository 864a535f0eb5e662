"""What a training shows while it runs: a bar on a terminal, a line an epoch elsewhere."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from faltung.errors import MissingExtraError
from faltung.recognition.files import write_text

Row = dict[str, float]
COLUMNS = (
    "epoch",
    "step",
    "rate",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "seconds",
    "images_per_second",
)


class Listener(Protocol):
    """Something that is told how a training goes."""

    def stepped(self, loss: float, accuracy: float, rate: float, speed: float) -> None:
        """Hear of a step: means of the epoch so far, the rate, images a second."""

    def ended(self, row: Row) -> None:
        """Hear of the end of an epoch."""


class Display:
    """The progress of a training on the console.

    Args:
        epochs: Epochs of the whole training.
        steps: Steps of an epoch.
        done: Steps already made, where a training is resumed.
        console: Where to print; None is standard output.
    """

    def __init__(self, epochs: int, steps: int, done: int, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._epochs = epochs
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            shown = f"{done // steps + 1}/{epochs}"
            self._task = self._bar.add_task(
                "", total=epochs * steps, completed=done, epoch=shown, facts=""
            )

    def __enter__(self) -> "Display":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stepped(self, loss: float, accuracy: float, rate: float, speed: float) -> None:
        """Move the bar by a step."""
        if self._bar is not None:
            facts = f"loss {loss:.3f}  acc {accuracy:.2%}  rate {rate:.1e}  {speed:,.0f} img/s"
            self._bar.update(self._task, advance=1, facts=facts)

    def ended(self, row: Row) -> None:
        """Print the line of an epoch."""
        self._console.print(
            f"epoch {row['epoch']:.0f}/{self._epochs}  loss {row['train_loss']:.4f}  "
            f"accuracy {row['train_accuracy']:.2%}  validation {row['validation_accuracy']:.2%}  "
            f"rate {row['rate']:.1e}  {row['images_per_second']:,.0f} images/s  "
            f"{row['seconds']:.1f} s"
        )
        if self._bar is not None:
            shown = f"{min(row['epoch'] + 1, self._epochs):.0f}/{self._epochs}"
            self._bar.update(self._task, epoch=shown)


class TensorBoard:
    """The progress of a training as TensorBoard reads it.

    Args:
        run: Folder of the run; events go to its sub-folder `tensorboard`.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, run: Path) -> None:
        self._writer: Any = require_tensorboard()(str(run / "tensorboard"))

    def stepped(self, loss: float, accuracy: float, rate: float, speed: float) -> None:
        """Ignore steps: epochs are written."""

    def ended(self, row: Row) -> None:
        """Write the numbers of an epoch."""
        for name, value in row.items():
            if name not in {"epoch", "step"}:
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()


def require_tensorboard() -> Any:
    """Return torch's class of TensorBoard writers.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (optional)
    except ImportError:
        raise MissingExtraError(
            "--tensorboard needs the package tensorboard, which is not installed: "
            'pip install "faltung[tensorboard]"'
        ) from None
    return SummaryWriter


def write_log(file: Path, history: Iterable[Row]) -> None:
    """Write the epochs so far as CSV, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(file, text.getvalue())
