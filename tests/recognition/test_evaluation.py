"""Accuracy, loss, confusion and mistakes of a reader whose answers are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from faltung.recognition import evaluation
from faltung.recognition.dataset import Split
from faltung.recognition.evaluation import evaluate


class Scripted:
    """A reader whose logits for an image are a row of a table, named by its first pixel."""

    def __init__(self, probabilities: list[list[float]]) -> None:
        self.table = torch.tensor(probabilities).log()
        self.calls: list[int] = []

    def logits(self, images_n1hw: Tensor) -> Tensor:
        """Look the images up."""
        self.calls.append(len(images_n1hw))
        return self.table[images_n1hw[:, 0, 0, 0].long()]


TABLE = [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.05, 0.9, 0.05]]
LABELS = [0, 1, 1, 2, 0]


def split(labels: list[int]) -> Split:
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return Split(images, torch.tensor(labels, dtype=torch.int64))


def test_a_reader_is_measured() -> None:
    result = evaluate(Scripted(TABLE), split(LABELS))
    assert result.accuracy == pytest.approx(2 / 5)
    right = [row[label] for row, label in zip(TABLE, LABELS, strict=True)]
    assert result.loss == pytest.approx(-sum(map(math.log, right)) / 5)
    assert result.predicted.tolist() == [0, 0, 1, 1, 1]
    assert np.array_equal(result.confusion(), [[1, 1, 0], [1, 1, 0], [0, 1, 0]])
    assert result.per_class() == [
        (pytest.approx(1 / 2), pytest.approx(1 / 2), pytest.approx(1 / 2), 2),
        (pytest.approx(1 / 3), pytest.approx(1 / 2), pytest.approx(2 / 5), 2),
        (0.0, 0.0, 0.0, 1),
    ]


def test_the_surest_mistake_comes_first() -> None:
    assert evaluate(Scripted(TABLE), split(LABELS)).mistakes() == [4, 3, 1]


def test_batches_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate(Scripted(TABLE), split(LABELS))
    monkeypatch.setattr(evaluation, "BATCH", 2)
    reader = Scripted(TABLE)
    parts = evaluate(reader, split(LABELS))
    assert reader.calls == [2, 2, 1]
    assert parts.loss == whole.loss
    assert torch.equal(parts.probabilities, whole.probabilities)


def test_nothing_to_read_is_no_accuracy() -> None:
    result = evaluate(Scripted(TABLE), split([]))
    assert math.isnan(result.accuracy)
    assert math.isnan(result.loss)
    assert result.mistakes() == []
