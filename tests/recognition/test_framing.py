"""Finding a character on a picture and placing it as the data sets did."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faltung.errors import DataError
from faltung.recognition import framing
from faltung.recognition.dataset import DIGITS_FRAME, MNIST_FRAME, load
from faltung.recognition.framing import frame_character, frame_file, open_image
from faltung.recognition.mnist import load_mnist

NEEDED = "give a PNG, JPEG or another image that Pillow opens"


def photo(pixels: np.ndarray, factor: int, paper: int, ink: int) -> Image.Image:
    """Return a noisy photo of a character, enlarged, on unevenly lit paper with a margin."""
    random = np.random.default_rng(0)
    shape = np.asarray(
        Image.fromarray(pixels).resize(
            (pixels.shape[1] * factor, pixels.shape[0] * factor), Image.Resampling.BICUBIC
        ),
        np.float64,
    )
    shape = np.pad(shape / 255, 3 * factor)
    light = np.linspace(0.85, 1.0, shape.shape[1])
    levels = (paper + (ink - paper) * shape) * light + random.normal(0, 3, shape.shape)
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("paper", "ink"), [(230, 20), (25, 240)])
def test_a_photo_of_a_mnist_digit_gives_back_nearly_the_digit(
    paper: int, ink: int, shared_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALTUNG_DATA", str(shared_mnist.parent))
    images = load_mnist().test_images[:40, 0].numpy()
    likeness = []
    for image in images:
        again = frame_character(photo(image, 10, paper, ink), MNIST_FRAME).numpy()
        likeness.append(np.corrcoef(image.ravel(), again.ravel())[0, 1])
    assert np.median(likeness) > 0.9
    assert min(likeness) > 0.6


@pytest.mark.parametrize(("paper", "ink"), [(240, 10), (10, 240)])
def test_a_photo_of_an_eight_by_eight_digit_gives_back_nearly_the_digit(
    paper: int, ink: int
) -> None:
    images = load("digits", 0.1).test.images[:40, 0].numpy()
    likeness = []
    for image in images:
        again = frame_character(photo(image, 24, paper, ink), DIGITS_FRAME).numpy()
        likeness.append(np.corrcoef(image.ravel(), again.ravel())[0, 1])
    assert np.median(likeness) > 0.85


def bar() -> np.ndarray:
    """Return a dark upright bar on white paper, uint8 (60, 40)."""
    pixels = np.full((60, 40), 255, np.uint8)
    pixels[10:50, 18:24] = 0
    return pixels


def test_the_box_is_filled_and_the_centre_of_mass_in_the_middle() -> None:
    placed = frame_character(Image.fromarray(bar()), MNIST_FRAME).numpy()
    rows, columns = np.nonzero(placed)
    assert placed.shape == (28, 28)
    assert (rows.min(), rows.max()) == (4, 23)
    assert columns.min() + columns.max() in {27, 28}
    assert placed.max() == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "I"])
def test_every_mode_reads_alike(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(bar())
    if mode == "I;16":
        image = Image.fromarray(bar().astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    file = tmp_path / ("x.tif" if mode in {"F", "I", "CMYK", "I;16"} else "x.png")
    image.save(file)
    expected = frame_character(Image.fromarray(bar()), MNIST_FRAME)
    assert (frame_file(file, MNIST_FRAME).float() - expected.float()).abs().max() <= 2


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_a_transparent_sheet_is_seen(ink: int) -> None:
    pixels = np.zeros((60, 40, 4), np.uint8)
    pixels[..., :3] = ink
    pixels[..., 3] = 255 - bar()
    expected = frame_character(Image.fromarray(bar()), MNIST_FRAME)
    found = frame_character(Image.fromarray(pixels), MNIST_FRAME)
    assert (found.float() - expected.float()).abs().max() <= 2


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter clockwise
    Image.fromarray(np.rot90(bar()).copy()).save(tmp_path / "x.png", exif=exif)
    assert open_image(tmp_path / "x.png").size == (40, 60)


def test_specks_do_not_count() -> None:
    pixels = bar()
    pixels[2:4, 2:4] = 0
    expected = frame_character(Image.fromarray(bar()), MNIST_FRAME)
    found = frame_character(Image.fromarray(pixels), MNIST_FRAME)
    assert (found.float() - expected.float()).abs().max() <= 2


def refusal(content: bytes, name: str = "x.png") -> str:
    with pytest.raises(DataError) as caught:
        open_image(content, name)
    return str(caught.value)


def test_what_is_no_image_is_said() -> None:
    assert refusal(b"") == f"x.png is empty (0 bytes): {NEEDED}"
    assert refusal(b"hello") == f"x.png is not an image, or is damaged: {NEEDED}"


def test_a_cut_image_is_said() -> None:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8)).save(
        content, "PNG"
    )
    message = refusal(content.getvalue()[:2000])
    assert message.startswith("x.png is cut or damaged (")
    assert message.endswith(f"): {NEEDED}")


def test_a_huge_image_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MAX_PIXELS", 100)
    content = io.BytesIO()
    Image.new("L", (11, 10)).save(content, "PNG")
    assert refusal(content.getvalue()) == (
        "x.png has 11 x 10 pixels, more than the 100 that are read: scale the image down, or cut "
        "the character out"
    )
    monkeypatch.setattr(framing, "MAX_BYTES", 3)
    assert refusal(b"1234") == (
        f"x.png has more than 3 bytes: no image that large is read; {NEEDED}"
    )


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    file = tmp_path / "none.png"
    with pytest.raises(DataError) as caught:
        open_image(file)
    assert str(caught.value) == f"{file} cannot be read (No such file or directory): {NEEDED}"


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_image_has_no_character(level: int, tmp_path: Path) -> None:
    Image.new("L", (50, 50), level).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="no character") as caught:
        frame_file(tmp_path / "x.png", MNIST_FRAME)
    assert str(caught.value).startswith(f"{tmp_path / 'x.png'}: ")
