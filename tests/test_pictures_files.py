"""Pictures as files: sharp, self-contained, the same every time, whole or not there."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageSequence

from drawn import title
from faltung import pictures
from faltung.errors import ArgumentError
from faltung.pictures import animation, saving

IMAGE = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
KERNEL = [[0, 1], [2, 3]]


def step() -> Figure:
    return pictures.sliding_step(IMAGE, KERNEL)


@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf", ".webp"])
def test_the_same_picture_gives_the_same_bytes(ending: str, tmp_path: Path) -> None:
    first = pictures.save(step(), tmp_path / f"first{ending}")
    with mpl.rc_context({"svg.hashsalt": "other", "font.family": "serif", "savefig.dpi": 30}):
        second = pictures.save(step(), str(tmp_path / f"second{ending.upper()}"))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"first{ending}",
        f"second{ending.upper()}",
    ]


def test_an_svg_is_vectors_with_a_title_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    file = pictures.save(step(), tmp_path / "step.svg")
    text = file.read_text()
    assert title(file) == "0×0 + 1×1 + 3×2 + 4×3 = 19"
    assert "<image" not in text
    assert "<dc:date>" not in text
    links = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert links
    assert all(link.startswith("#") for link in links if "cc/" not in link and "dc/" not in link)
    assert mpl.rcParams["svg.hashsalt"] is None


def test_a_png_has_the_pixels_asked_for(tmp_path: Path) -> None:
    small, large = (
        Image.open(io.BytesIO(pictures.save(step(), tmp_path / "x.png", dpi=dpi).read_bytes()))
        for dpi in (50, 100)
    )
    assert large.width == pytest.approx(2 * small.width, abs=2)


def test_a_gif_has_a_frame_for_each_output_and_shows_the_last_longer() -> None:
    animated = pictures.sliding_animation(IMAGE, KERNEL, padding=1, seconds=0.5)
    gif = Image.open(io.BytesIO(animated.gif()))
    durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
    assert durations == [500] * 15 + [1000]
    assert gif.info["loop"] == 0
    assert gif.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_an_animation_reveals_outputs_as_they_are_computed() -> None:
    animated = pictures.sliding_animation(IMAGE, KERNEL)
    labels = [str(frame().get_label()) for frame in animated.frames]
    assert [label.split("= ")[1] for label in labels] == ["19", "25", "37", "43"]
    shown = [
        {text.get_text() for text in frame().axes[0].texts} & {"19", "25", "37", "43"}
        for frame in animated.frames
    ]
    assert [len(found) for found in shown] == [1, 2, 3, 4]


def test_a_page_holds_everything_it_shows(tmp_path: Path) -> None:
    animated = pictures.pooling_animation(IMAGE, 2, stride=1, seconds=0.25)
    page = animated.save(tmp_path / "pool.html").read_text()
    assert re.findall(r'alt="([^"]*)"', page) == [
        "max(0, 1, 3, 4) = 4", "max(1, 2, 4, 5) = 5", "max(3, 4, 6, 7) = 7", "max(4, 5, 7, 8) = 8"
    ]  # fmt: skip
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) == 4
    for source in sources:
        kind, _, content = source.partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(content).startswith(b"<?xml")
    assert "move(1), 250)" in page
    assert page == animated.html()


REFUSED = [
    ("step.jpeg", "out is {at}/step.jpeg: a figure is saved as .svg, .pdf, .png, .webp; choose one "
     "of these endings"),
    ("no/step.svg", "out is {at}/no/step.svg, but there is no folder {at}/no: create it, or choose "
     "another"),
    ("folder.svg", "out is {at}/folder.svg, which is a folder: choose the name of a file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message"), REFUSED)
def test_where_nothing_can_be_saved_is_said(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(ArgumentError) as caught:
        pictures.save(step(), tmp_path / name)
    assert str(caught.value) == message.format(at=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.svg"]


def test_a_disk_that_takes_nothing_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "step.svg"
    target.write_text("old")
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ArgumentError) as caught:
        pictures.save(step(), target)
    assert str(caught.value) == (
        f"out is {target}, which cannot be written (No space left on device): allow writing in "
        f"{tmp_path}, or choose another folder"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["step.svg"]
    assert target.read_text() == "old"


def test_animations_are_neither_figures_nor_endless(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"an animation is saved as \.gif, \.html"):
        pictures.sliding_animation(IMAGE, KERNEL).save(tmp_path / "step.svg")
    with pytest.raises(ArgumentError) as caught:
        pictures.sliding_animation(torch.zeros(13, 13), [[1]])
    assert str(caught.value) == (
        "the output has 169 cells, a frame each: at most 150 make an animation; use a smaller "
        "image or a larger stride"
    )
    with pytest.raises(ArgumentError, match=r"seconds is 0: a frame is shown for 0\.02 to 60"):
        pictures.sliding_animation(IMAGE, KERNEL, seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_endings_of_figures_and_animations_differ() -> None:
    assert not set(saving.ENDINGS) & set(animation.ENDINGS)
