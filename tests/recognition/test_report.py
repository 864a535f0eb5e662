"""The report: one page that needs nothing else, pictures, samples that are what they say."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from faltung.recognition import train as training
from faltung.recognition.config import make
from faltung.recognition.dataset import load
from faltung.recognition.distributed import Team
from faltung.recognition.report import write_report
from faltung.recognition.train import Outcome

# Names that HTML, the mathematics of matplotlib, the markup of rich or a font could trip over.
CLASSES = ("<b>", "$x^$", "[bold]", "日", "4", "5", "6", "7", "8", "a very long name")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("report") / "run"
    data = dataclasses.replace(load("digits", 0.1), classes=CLASSES, note="Beware of <writers>.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "load", lambda *_: data)
        config = make({"epochs": 1, "batch": 256, "widths": [[4], [6]]})
        alone = Team(0, 1, torch.device("cpu"))
        made = training.train(training.prepare(config, run, alone))
    write_report(dataclasses.replace(made, stopped="the cat <sat>"))
    return made


def test_the_page_needs_nothing_else_and_escapes_names(outcome: Outcome) -> None:
    page = (outcome.run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    assert re.findall(r'src="(.{22})', page) == ["data:image/png;base64,"] * 6
    assert "<td>&lt;b&gt;</td>" in page
    assert "<td>日</td>" in page
    assert "Beware of &lt;writers&gt;." in page
    assert "Ended early: the cat &lt;sat&gt;." in page
    assert f"{outcome.test.accuracy * 100:.2f} % of the test images read right" in page
    assert "1,242 parameters" in page
    assert "<th>label_smoothing</th><td>0.05</td>" in page


def test_pictures_are_saved(outcome: Outcome) -> None:
    files = sorted((outcome.run / "pictures").iterdir())
    assert [f.stem for f in files] == [
        "classes", "confusion", "curves", "features", "kernels", "mistakes",
    ]  # fmt: skip
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 90
            assert len(picture.convert("L").getcolors() or []) > 10


def test_samples_are_held_out_images_dark_on_light(outcome: Outcome) -> None:
    files = sorted((outcome.run / "samples").iterdir())
    assert len(files) == 10
    named = re.compile(r"held-out-(\d{4})-is-(.+)\.png")
    seen = set()
    for file in files:
        found = named.fullmatch(file.name)
        assert found is not None, file
        position, name = int(found[1]), found[2]
        assert CLASSES[int(outcome.data.test.labels[position])] == name
        seen.add(name)
        with Image.open(file) as picture:
            grey = ImageOps.invert(picture)
        assert np.asarray(grey)[0].max() == 0
        border = 112 // 8
        inner = ImageOps.crop(grey, border).resize((8, 8), Image.Resampling.BOX)
        original = outcome.data.test.images[position, 0].numpy().astype(int)
        assert np.abs(np.asarray(inner).astype(int) - original).max() < 90
    assert seen == set(CLASSES)
