"""What a training shows: a line an epoch, a bar on a terminal, a log, TensorBoard."""

import csv
import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from faltung.errors import MissingExtraError
from faltung.recognition.progress import COLUMNS, Display, Row, TensorBoard, write_log

ROW: Row = {
    "epoch": 2.0,
    "step": 40.0,
    "rate": 0.0025,
    "train_loss": 0.51234,
    "train_accuracy": 0.875,
    "validation_loss": 0.4,
    "validation_accuracy": 0.9125,
    "seconds": 1.25,
    "images_per_second": 12345.6,
}
LINE = (
    "epoch 2/5  loss 0.5123  accuracy 87.50%  validation 91.25%  rate 2.5e-03  12,346 images/s  "
    "1.2 s"
)


def test_elsewhere_an_epoch_is_a_line() -> None:
    text = io.StringIO()
    with Display(5, 20, 20, Console(file=text, soft_wrap=True)) as display:
        display.stepped(0.5, 0.9, 1e-3, 1000)
        display.ended(ROW)
    assert text.getvalue() == LINE + "\n"


def test_on_a_terminal_there_is_a_bar() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120, color_system=None, highlight=False)
    with Display(5, 20, 20, console) as display:
        for _ in range(20):
            display.stepped(0.5, 0.9, 1e-3, 1000)
        display.ended(ROW)
    shown = text.getvalue()
    for part in ("epoch 2/5", "40/100", "loss 0.500", "acc 90.00%", "rate 1.0e-03", "1,000 img/s"):
        assert part in shown
    assert LINE in shown
    assert "epoch 3/5" in shown


def test_the_log_holds_every_epoch(tmp_path: Path) -> None:
    write_log(tmp_path / "log.csv", [ROW, {**ROW, "epoch": 3.0}])
    with (tmp_path / "log.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert tuple(rows[0]) == COLUMNS
    assert [{name: float(value) for name, value in row.items()} for row in rows] == [
        ROW,
        {**ROW, "epoch": 3.0},
    ]


def test_tensorboard_gets_every_number(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = TensorBoard(tmp_path)
    board.stepped(0.5, 0.9, 1e-3, 1000)
    board.ended(ROW)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == set(COLUMNS) - {"epoch", "step"}
    (event,) = events.Scalars("validation_accuracy")
    assert (event.step, event.value) == (2, pytest.approx(0.9125))


def test_missing_tensorboard_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError) as caught:
        TensorBoard(tmp_path)
    assert str(caught.value) == (
        "--tensorboard needs the package tensorboard, which is not installed: "
        'pip install "faltung[tensorboard]"'
    )
    assert list(tmp_path.iterdir()) == []
