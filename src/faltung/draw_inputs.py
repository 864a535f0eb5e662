"""What `faltung draw` takes on the command line: settings, pictures, models; and where it saves."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from faltung import pictures
from faltung.analysis.loading import load
from faltung.errors import ArgumentError
from faltung.geometry import RULES
from faltung.matrices import parse_matrix
from faltung.pictures import Animation
from faltung.pictures.animation import ENDINGS
from faltung.pictures.saving import ENDINGS as FIGURES
from faltung.pictures.saving import checked_target
from faltung.recognition.checkpoint import open_run
from faltung.recognition.framing import frame_file, open_image


def windows(stride: str, padding: str, dilation: str) -> dict[str, Any]:
    """Return the settings of a windowed operation.

    Raises:
        ArgumentError: One of them is written in another way.
    """
    return {
        "stride": pair("--stride", stride),
        "padding": padding_of(padding),
        "dilation": pair("--dilation", dilation),
    }


def pair(name: str, text: str) -> tuple[int, int]:
    """Return one number, or two, as (height, width).

    Raises:
        ArgumentError: They are no whole numbers, or more.
    """
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in {1, 2}:
        raise ArgumentError(
            f"{name} is {text!r}: write one whole number, or two with ',' between, such as 2 or 3,2"
        )
    return values[0], values[-1]


def padding_of(text: str) -> Any:
    """Return padding in a form that the functions take.

    Raises:
        ArgumentError: It is neither numbers nor the name of a rule.
    """
    if text in RULES:
        return text
    parts = text.split(";")
    try:
        rows = [[int(number) for number in part.split(",")] for part in parts]
    except ValueError:
        rows = []
    if len(rows) == 1 and len(rows[0]) in {1, 2}:
        return rows[0][0], rows[0][-1]
    if len(rows) == 2 and all(len(row) == 2 for row in rows):
        return tuple(map(tuple, rows))
    raise ArgumentError(
        f"--padding is {text!r}: write one number, 'down,across', 'top,bottom;left,right', or one "
        f"of {', '.join(RULES)}"
    )


def planes(name: str, text: str) -> list[list[list[float]]]:
    """Return the channels of an image or a kernel.

    Raises:
        ArgumentError: One is no matrix.
    """
    return [parse_matrix(name, part) for part in text.split("|")]


def checked(out: Path) -> Path:
    """Return where a figure is to be saved, before anything is computed.

    Raises:
        ArgumentError: The ending is none of a figure, or there is no such folder.
    """
    return checked_target(out, FIGURES, "this picture")


def animated(out: Path, row: int | None, column: int | None) -> bool:
    """Say whether all steps are asked for, as an animation.

    Raises:
        ArgumentError: One step is asked for as an animation, the ending is neither that of a
            figure nor of an animation, or there is no such folder.
    """
    checked_target(out, (*FIGURES, *ENDINGS), "this picture")
    if out.suffix.lower() not in ENDINGS:
        return False
    if row is not None or column is not None:
        raise ArgumentError(
            f"out is {out}, an animation of all steps: leave out --row and --column, or save one "
            f"step as .svg"
        )
    return True


def model_and_picture(model: str, file: Path) -> tuple[torch.nn.Module, Tensor, Any]:
    """Return a model, a picture as the model takes it (C, H, W), and as people see it.

    For a trained run the character in the picture is framed as the run's data set did.

    Raises:
        ModelError: There is no such model.
        RunError: The folder is no trained run.
        DataError: The picture cannot be read, or no character is found on it.
    """
    if Path(model).is_dir():
        run = open_run(Path(model))
        framed = frame_file(file, run.frame)
        taken = run.facts.normalised(framed[None].float() / 255)
        return run.model, taken, framed.numpy() / 255
    built = load(model)[0]
    first = next((w for w in built.parameters() if w.dim() == 4), None)
    grey = first is not None and first.shape[1] == 1
    picture: Image.Image = open_image(file).convert("L" if grey else "RGB")
    pixels = np.asarray(picture, np.float32) / 255
    taken = torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1)
    return built, taken, pixels


def save(drawn: "Figure | Animation", out: Path, dpi: float | None = None) -> Path:
    """Save a figure or an animation.

    Raises:
        ArgumentError: It cannot be saved there.
    """
    if isinstance(drawn, Animation):
        return drawn.save(out)
    return pictures.save(drawn, out) if dpi is None else pictures.save(drawn, out, dpi=dpi)
