"""Reading files: every file gets its answer, whatever the others are."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from faltung.recognition.dataset import MNIST_FRAME
from faltung.recognition.framing import Frame
from faltung.recognition.prediction import NamedBytes, Reading, Unreadable, predict


class Width:
    """A network that calls a character wide or tall."""

    classes = ("tall", "wide")
    frame: Frame = MNIST_FRAME

    def logits(self, images_n1hw: torch.Tensor) -> torch.Tensor:
        """Return height and width of the ink."""
        inked = images_n1hw[:, 0] > 0
        tall, wide = inked.any(2).sum(1), inked.any(1).sum(1)
        return torch.stack([tall, wide], 1).float()


def bar(file: Path, wide: bool) -> Path:
    pixels = np.full((60, 60), 255, np.uint8)
    pixels[(28, 10)[not wide] : (33, 50)[not wide], (10, 28)[not wide] : (50, 33)[not wide]] = 0
    Image.fromarray(pixels).save(file)
    return file


def test_each_file_gets_its_answer(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"?")
    tall, wide = bar(tmp_path / "tall.png", False), bar(tmp_path / "wide.png", True)
    content = NamedBytes("input", tall.read_bytes())
    sources: list[Path | NamedBytes] = [wide, tmp_path / "bad.png", content]
    first, second, third = predict(Width(), sources)
    assert isinstance(first, Reading)
    assert (first.name, first.character) == (str(wide), "wide")
    assert isinstance(second, Unreadable)
    assert second.reason.startswith(f"{tmp_path / 'bad.png'} is not an image")
    assert isinstance(third, Reading)
    assert (third.name, third.character) == ("input", "tall")
    assert sum(third.probabilities) == 1
    assert third.image.shape == (28, 28)


def test_no_files_give_no_answers() -> None:
    assert predict(Width(), []) == []


def test_many_files_pass_in_batches(tmp_path: Path) -> None:
    content = bar(tmp_path / "x.png", True).read_bytes()
    answers = predict(Width(), [NamedBytes(str(i), content) for i in range(300)])
    assert [answer.name for answer in answers] == [str(i) for i in range(300)]
