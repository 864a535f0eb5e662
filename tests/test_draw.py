"""`faltung draw`: every picture by its command, every refusal in words, nothing half-written."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence
from support import environment

from drawn import title
from faltung import cli

SHIPPED = Path(cli.__file__).parent / "lab" / "shipped"
SAMPLE = next(iter(sorted((SHIPPED / "samples").iterdir())))

COMMANDS = [
    (["step"], "0×0 + 1×1 + 3×2 + 4×3 = 19"),
    (["step", "--row", "1", "--column", "2", "--padding", "1", "--flip"], "1×3 + 2×2 + 4×1 + 5×0 "
     "= 11"),
    (["step", "--image", "1,2;3,4", "--kernel", "1,-1", "--bias", "0.5"],
     "1×1 + 2×(−1) + 0.5 = −0.5"),
    (["pooling", "--kind", "avg", "--stride", "1", "--column", "1"], "(1 + 2 + 5 + 6) / 4 = 3.5"),
    (["pooling", "--kernel-size", "1,2", "--padding", "0,0;1,0", "--kind", "min"],
     "min(∞, 0) = 0"),
    (["channels"], "output 0:  (0×0 + 1×1 + 3×2 + 4×3) + (1×1 + 2×2 + 4×3 + 5×4) = 19 + 37 = 56"),
    (["channels", "--image", "1|2", "--kernel", "3|4", "--kernel", "0|-1", "--bias", "1,1"],
     "output 0:  1×3 + 2×4 + 1 = 12 output 1:  1×0 + 2×(−1) + 1 = −1"),
    (["geometry", "--input-size", "5,6", "--stride", "2,1", "--padding", "same"],
     "rows: ⌊(5 + 1 + 1 − 3) / 2⌋ + 1 = 3; columns: ⌊(6 + 1 + 1 − 3) / 1⌋ + 1 = 6"),
    (["matrix"], "convolution: 4 weights, 16 of 36 entries; fully connected: 36 weights"),
    (["connections"], "weights: dense 10⁹, locally connected 10⁶, convolution 10³"),
    (["kernels", str(SHIPPED)], r"body\.0: \d+ × 1 kernels of 3×3"),
    (["feature-maps", str(SHIPPED), str(SAMPLE), "--layer", "body.0"],
     r"body\.0: \d+ feature maps of \d+×\d+"),
    (["receptive-field", str(SHIPPED), str(SAMPLE), "--layer", "body.0", "--row", "1", "--samples",
      "1"], r"unit \(1, \d+\) of the .* map of body\.0: receptive field 3×3 pixels; .*"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), COMMANDS)
def test_every_picture_has_a_command(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "picture.svg"
    assert cli.run(["draw", *arguments, "--out", str(file)]) == 0
    assert capsys.readouterr().out == f"saved {file}\n"
    spoken = title(file)
    assert spoken == said or re.fullmatch(said, spoken)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("command", "frames"), [("step", 4), ("pooling", 4)])
def test_animations_by_their_ending(command: str, frames: int, tmp_path: Path) -> None:
    gif, page = tmp_path / "a.gif", tmp_path / "a.html"
    assert cli.run(["draw", command, "--seconds", "0.2", "--out", str(gif)]) == 0
    assert cli.run(["draw", command, "--out", str(page)]) == 0
    with Image.open(gif) as opened:
        assert len(list(ImageSequence.Iterator(opened))) == frames
        opened.seek(0)
        assert opened.info["duration"] == 200
    assert page.read_text().count("data:image/svg+xml") == frames


def test_a_model_in_a_file_looks_at_a_photo(tmp_path: Path) -> None:
    code = (
        "import torch\nfrom faltung import nn\n"
        "def net():\n    torch.manual_seed(0)\n"
        "    return torch.nn.Sequential(nn.Conv2d({0}, 4, 3, padding=1), torch.nn.ReLU())\n"
    )
    photo = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    for channels in (1, 3):
        (tmp_path / "model.py").write_text(code.format(channels))
        target = f"{tmp_path / 'model.py'}:net"
        given = [target, str(tmp_path / "photo.png"), "--layer", "0"]
        out = ["--out", str(tmp_path / "seen.svg")]
        assert cli.run(["draw", "receptive-field", *given, "--samples", "1", *out]) == 0
        assert title(tmp_path / "seen.svg").startswith("unit (6, 8) of the 12×16 map of 0:")
        assert cli.run(["draw", "feature-maps", *given, "--most", "2", *out]) == 0
        expected = "0: 4 feature maps of 12×16; the first 2 are shown"
        assert title(tmp_path / "seen.svg") == expected
    assert (
        cli.run(["draw", "kernels", target, "--dpi", "50", "--out", str(tmp_path / "k.png")]) == 0
    )


REFUSED = [
    (["step", "--image", "1,b"], "x.svg", "--image is '1,b': it is numbers with ',' between "
     "columns and ';' between rows, such as '1,0,-1;2,0,-2;1,0,-1'"),
    (["matrix", "--kernel", "1,2;3"], "x.svg", "--kernel '1,2;3' has rows of 2, 1 numbers: all "
     "rows must be equally long; write zeros out"),
    (["channels", "--image", "1|inf"], "x.svg", "--image 'inf' has a number that is not finite: "
     "use numbers such as 1, -0.5 or 2e3"),
    (["step", "--row", "2"], "x.svg", "row is 2: the output has 2 rows, counted from 0 to 1"),
    (["step", "--stride", "two"], "x.svg", "--stride is 'two': write one whole number, or two with "
     "',' between, such as 2 or 3,2"),
    (["geometry", "--dilation", "1,2,3"], "x.svg", "--dilation is '1,2,3': write one whole number, "
     "or two with ',' between, such as 2 or 3,2"),
    (["geometry", "--padding", "some"], "x.svg", "--padding is 'some': write one number, "
     "'down,across', 'top,bottom;left,right', or one of valid, same, same_upper, same_lower, full"),
    (["geometry", "--padding", "1;2"], "x.svg", "--padding is '1;2': write one number, "
     "'down,across', 'top,bottom;left,right', or one of valid, same, same_upper, same_lower, full"),
    (["step", "--column", "1"], "x.gif", "out is {at}/x.gif, an animation of all steps: leave out "
     "--row and --column, or save one step as .svg"),
    (["pooling"], "x.bmp", "out is {at}/x.bmp: this picture is saved as .svg, .pdf, .png, "
     ".webp, .gif, .html; choose one of these endings"),
    (["matrix"], "x.gif", "out is {at}/x.gif: this picture is saved as .svg, .pdf, .png, "
     ".webp; choose one of these endings"),
    (["kernels", "nowhere"], "no/x.svg", "out is {at}/no/x.svg, but there is no folder {at}/no: "
     "create it, or choose another"),
    (["feature-maps", str(SHIPPED), __file__, "--layer", "body.0"], "x.svg", f"{__file__} is not "
     "an image, or is damaged: give a PNG, JPEG or another image that Pillow opens"),
    (["feature-maps", str(SHIPPED), "gone.png", "--layer", "body.0"], "x.svg", "gone.png"),
    (["kernels", str(SHIPPED), "--layer", "tail"], "x.svg", "layer is 'tail', which the model does "
     "not have"),
    (["kernels", "nowhere.py:Net"], "x.svg", "nowhere.py does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "name", "message"), REFUSED)
def test_bad_input_is_said_and_nothing_is_written(
    arguments: list[str],
    name: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["draw", *arguments, "--out", str(tmp_path / name)]) == 2
    assert f"error: {message.format(at=tmp_path)}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_needs_no_torch_and_no_matplotlib() -> None:
    code = (
        "import sys, faltung.cli; faltung.cli.run(['draw', '--help']); "
        "sys.exit(bool({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), check=False, capture_output=True
    )
    assert done.returncode == 0
    assert b"receptive-field" in done.stdout
