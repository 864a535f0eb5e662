"""How well a network reads a part of a data set."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from faltung.recognition.dataset import Split

BATCH = 500  # images that pass the network at once


class Reads(Protocol):
    """Anything that maps images uint8 (N, 1, H, W) to logits (N, classes)."""

    def logits(self, images_n1hw: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """The result of reading a part of a data set.

    Attributes:
        accuracy: Share of images read right, 0 to 1.
        loss: Mean cross-entropy, in nats.
        probabilities: (N, classes).
        labels: (N,).
    """

    accuracy: float
    loss: float
    probabilities: Tensor
    labels: Tensor

    @property
    def predicted(self) -> Tensor:
        """The most probable class of every image, (N,)."""
        return self.probabilities.argmax(1)

    def confusion(self) -> npt.NDArray[np.int64]:
        """Return how often class i (row) was read as class j (column)."""
        classes = range(self.probabilities.shape[1])
        matrix: npt.NDArray[np.int64] = confusion_matrix(
            self.labels, self.predicted, labels=list(classes)
        )
        return matrix

    def per_class(self) -> list[tuple[float, float, float, int]]:
        """Return precision, recall, F1 and number of images for every class."""
        columns = precision_recall_fscore_support(
            self.labels,
            self.predicted,
            labels=list(range(self.probabilities.shape[1])),
            zero_division=0,
        )
        return [(float(p), float(r), float(f), int(n)) for p, r, f, n in zip(*columns, strict=True)]

    def mistakes(self) -> list[int]:
        """Return the positions of the images read wrong, the surest mistake first."""
        wrong = torch.nonzero(self.predicted != self.labels).flatten()
        sureness = self.probabilities[wrong].amax(1)
        return [int(i) for i in wrong[torch.argsort(sureness, descending=True, stable=True)]]


def evaluate(reader: Reads, split: Split) -> Evaluation:
    """Read all images of a part of a data set; where it is empty, accuracy and loss are NaN."""
    logits = [reader.logits(images).cpu() for images in split.images.split(BATCH)]
    scores = torch.cat(logits).double()
    if len(split.labels) == 0:
        return Evaluation(math.nan, math.nan, scores.softmax(1), split.labels)
    loss = torch.nn.functional.cross_entropy(scores, split.labels).item()
    accuracy = (scores.argmax(1) == split.labels).double().mean().item()
    return Evaluation(accuracy, loss, scores.softmax(1), split.labels)
