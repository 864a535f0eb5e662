"""What the chapters share: pictures that are shown or saved, real data, a training in a few lines.

In Jupyter a picture appears below its cell. A chapter that runs as a script saves its pictures
below `FOLDER` and says where.
"""

import inspect
import io
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

from faltung.errors import DataError
from faltung.pictures.saving import rendered
from faltung.recognition.dataset import Characters, load
from faltung.recognition.mnist import Mnist, load_mnist

FOLDER = Path("runs") / "tour"
"""Where scripts save their pictures, a folder for each chapter."""

DPI = 100
COLOURS = 128  # of a picture in a notebook, which keeps it small
GREY = torch.tensor([0.299, 0.587, 0.114])
"""How much red, green and blue count in a grey level (ITU-R BT.601)."""

Planes = Sequence[tuple[str, Tensor]]


def show(figure: Figure, name: str) -> None:
    """Show a figure in Jupyter; in a script, save it as `name`.png and print where.

    Args:
        figure: The figure; its label is what screen readers speak, and `name` if it has none.
        name: Name of its file.
    """
    picture = Image.open(io.BytesIO(rendered(figure, ".png", DPI))).convert("RGB")
    content = io.BytesIO()
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    if "ipykernel" in sys.modules:
        from IPython.display import display  # noqa: PLC0415 (a script does without it)

        text = figure.get_label() or name
        display({"image/png": content.getvalue(), "text/plain": text}, raw=True)
        return
    target = FOLDER / _chapter() / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.getvalue())
    print(f"picture: {target}")


def planes(shown: Planes, columns: int = 4, *, signed: bool = False, height: float = 2.0) -> Figure:
    """Return a figure of planes side by side, each with a title.

    Args:
        shown: Titles and planes (H, W).
        columns: How many stand in a row.
        signed: White is 0, red positive, blue negative, on one scale for all planes; otherwise
            each plane goes from its darkest to its brightest value.
        height: Inches of a plane with its title.
    """
    shown = [(title, plane.detach()) for title, plane in shown]
    rows = -(-len(shown) // columns)
    ratio = max(plane.shape[1] / plane.shape[0] for _, plane in shown)
    across = min(columns, len(shown))
    figure = Figure(figsize=(max(height * ratio, 1.2) * across, height * rows), layout="tight")
    largest = max(float(plane.abs().max()) for _, plane in shown)
    scale = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest} if signed else {"cmap": "gray"}
    for place, (title, plane) in enumerate(shown):
        axes = figure.add_subplot(rows, across, place + 1)
        axes.imshow(plane.numpy(), interpolation="nearest", **scale)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.set_label("; ".join(title for title, _ in shown))
    return figure


def chart(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    across: str,
    up: str,
    *,
    log: bool = False,
) -> Figure:
    """Return a chart of named lines over common places `x`, the axes labelled."""
    figure = Figure(figsize=(5.5, 3), layout="tight")
    axes = figure.add_subplot()
    for (name, y), style in zip(lines.items(), ("o-", "s--", "^:", "d-."), strict=False):
        axes.plot(x, y, style, label=name, markersize=4)
    axes.set(xlabel=across, ylabel=up, yscale="log" if log else "linear")
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend(fontsize=8)
    figure.set_label(f"{up} over {across}: {', '.join(lines)}")
    return figure


@cache
def china() -> Tensor:
    """Return scikit-learn's photograph of a temple: red, green, blue (3, 427, 640), 0 to 1."""
    pixels = torch.from_numpy(np.array(load_sample_image("china.jpg")))
    return pixels.permute(2, 0, 1).float() / 255


@cache
def grey() -> Tensor:
    """Return the photograph in grey levels (427, 640), 0 black to 1 white."""
    return torch.einsum("c,chw->hw", GREY, china())


@cache
def digits() -> Characters:
    """Return scikit-learn's handwritten digits: 8 x 8, 1437 to learn from and 360 held out."""
    return load("digits", 0.0)


@cache
def mnist() -> Mnist | None:
    """Return MNIST where it lies in `$FALTUNG_DATA`; else say that it does not, and return None."""
    try:
        return load_mnist(mirrors=())
    except DataError:
        print(
            "This cell is skipped: MNIST's four files are not in a folder `mnist` of $FALTUNG_DATA "
            "(or they are damaged); `faltung train mnist` fetches them, or says what is wrong"
        )
        return None


def images(pixels: Tensor) -> Tensor:
    """Return uint8 images as float, 0 to 1."""
    return pixels.float() / 255


def fit(
    model: torch.nn.Module,
    x: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    rate: float = 3e-3,
    seed: int = 0,
) -> list[float]:
    """Train a classifier with Adam, 64 images a step, and return the mean loss of every epoch."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), rate)
    losses = []
    model.train()
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(x), generator=generator).split(64):
            loss = torch.nn.functional.cross_entropy(model(x[rows]), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / len(x))
    return losses


@torch.no_grad()
def accuracy(model: torch.nn.Module, x: Tensor, labels: Tensor) -> float:
    """Return the share of images that a classifier reads right."""
    model.eval()
    guesses = torch.cat([model(part).argmax(1) for part in x.split(1000)])
    return (guesses == labels).double().mean().item()


def parameters(model: torch.nn.Module) -> int:
    """Return how many numbers a model learns."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _chapter() -> str:
    """Return the name of the chapter that asks for a picture: the file that called `show`."""
    frame = inspect.stack()[2]
    return Path(frame.filename or sys.argv[0]).stem
