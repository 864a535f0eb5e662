"""The report of a run: pictures, samples, and one page that holds everything."""

import base64
import dataclasses
import io
import warnings
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from faltung.recognition.files import replacing, write_text
from faltung.recognition.progress import Row
from faltung.recognition.train import Outcome

MISTAKES = 20  # shown at most
SAMPLES = 10
SAMPLE_SIDE = 112  # pixels of a sample picture, about


def write_report(outcome: Outcome) -> None:
    """Write `report.html`, `pictures/` and `samples/` into the folder of a run."""
    rows = outcome.history
    figures = {
        "curves": _curves(rows),
        "confusion": _confusion(outcome),
        "classes": _classes(outcome),
        "mistakes": _mistakes(outcome),
        "kernels": _kernels(outcome),
        "features": _features(outcome),
    }
    folder = outcome.run / "pictures"
    folder.mkdir(exist_ok=True)
    pictures = {}
    for name, figure in figures.items():
        content = io.BytesIO()
        with warnings.catch_warnings():  # the page's table shows the names no font has
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure.savefig(content, format="png")
        _write(folder / f"{name}.png", content.getvalue())
        pictures[name] = base64.b64encode(content.getvalue()).decode("ascii")
    _samples(outcome)
    write_text(outcome.run / "report.html", _page(outcome, rows, pictures))


def _page(outcome: Outcome, rows: Sequence[Row], pictures: dict[str, str]) -> str:
    template = resources.files("faltung.recognition").joinpath("templates/report.html")
    page = jinja2.Template(template.read_text(encoding="utf-8"), autoescape=True)
    text: str = page.render(
        name=outcome.data.name,
        note=outcome.data.note,
        accuracy=outcome.test.accuracy,
        wrong=len(outcome.test.mistakes()),
        images=len(outcome.test.labels),
        parameters=outcome.opened.model.parameter_count(),
        seconds=outcome.seconds,
        stopped=outcome.stopped,
        epochs=len(rows),
        classes=list(zip(outcome.opened.classes, outcome.test.per_class(), strict=True)),
        config=dataclasses.asdict(outcome.opened.config),
        pictures=pictures,
    )
    return text


def _write(target: Path, content: bytes) -> None:
    with replacing(target) as part:
        part.write_bytes(content)


def _panels(count: int, columns: int, side: float = 1.1) -> tuple[Figure, list[Axes]]:
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(columns * side, rows * (side + 0.25)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel().tolist()
    for axis in axes:
        axis.axis("off")
    return figure, axes


def _curves(rows: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for axis, kind, factor in ((left, "loss", 1), (right, "accuracy", 100)):
        for part in ("train", "validation"):
            values = [row[f"{part}_{kind}"] * factor for row in rows]
            axis.plot(epochs, values, label=part, marker=".")
        axis.set_xlabel("epoch")
        axis.set_ylabel("accuracy, %" if kind == "accuracy" else "loss, nats")
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


def _confusion(outcome: Outcome) -> Figure:
    matrix, classes = outcome.test.confusion(), outcome.opened.classes
    side = max(4.5, 0.45 * len(classes))
    figure = Figure(figsize=(side, side), layout="constrained")
    axis = figure.subplots()
    axis.imshow(np.log1p(matrix), cmap="Blues")
    axis.set_xticks(range(len(classes)), classes, parse_math=False)
    axis.set_yticks(range(len(classes)), classes, parse_math=False)
    axis.set_xlabel("read as")
    axis.set_ylabel("is")
    bright = np.log1p(matrix) > np.log1p(matrix.max()) / 2
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            colour = "white" if bright[row, column] else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
    return figure


def _classes(outcome: Outcome) -> Figure:
    figure = Figure(figsize=(9, 3), layout="constrained")
    axis = figure.subplots()
    table = outcome.test.per_class()
    places = np.arange(len(table))
    axis.bar(places - 0.2, [row[0] * 100 for row in table], 0.4, label="precision")
    axis.bar(places + 0.2, [row[1] * 100 for row in table], 0.4, label="recall")
    axis.set_xticks(places, outcome.opened.classes, parse_math=False)
    lowest = min(min(row[:2]) for row in table) * 100
    axis.set_ylim(max(0, lowest - (100 - lowest) * 0.2 - 0.5), 100)
    axis.set_ylabel("%")
    axis.legend(loc="lower right")
    return figure


def _mistakes(outcome: Outcome) -> Figure:
    positions = outcome.test.mistakes()[:MISTAKES]
    figure, axes = _panels(len(positions), 10)
    names, images = outcome.opened.classes, outcome.data.test.images.numpy()
    for axis, position in zip(axes, positions, strict=False):
        read = int(outcome.test.predicted[position])
        share = float(outcome.test.probabilities[position, read])
        axis.imshow(images[position, 0], cmap="gray_r", vmin=0, vmax=255)
        true = names[int(outcome.test.labels[position])]
        axis.set_title(f"{true}, read {names[read]}\n{share:.0%}", fontsize=7, parse_math=False)
    return figure


def _kernels(outcome: Outcome) -> Figure:
    weights = (
        next(p for p in outcome.opened.model.parameters() if p.dim() == 4).detach()[:, 0].numpy()
    )
    figure, axes = _panels(len(weights), 8)
    most = float(np.abs(weights).max())
    for axis, kernel in zip(axes, weights, strict=False):
        axis.imshow(kernel, cmap="RdBu_r", vmin=-most, vmax=most)
    return figure


def _features(outcome: Outcome) -> Figure:
    opened, image = outcome.opened, outcome.data.test.images[:1]
    with torch.inference_mode():
        maps = opened.model.body[0](opened.facts.normalised(image.float() / 255))[0].numpy()
    figure, axes = _panels(len(maps) + 1, 8)
    axes[0].imshow(image[0, 0].numpy(), cmap="gray_r")
    axes[0].set_title("input", fontsize=7)
    for axis, feature in zip(axes[1:], maps, strict=False):
        most = float(np.abs(feature).max())
        axis.imshow(feature, cmap="RdBu_r", vmin=-most, vmax=most)
    return figure


def _samples(outcome: Outcome) -> None:
    """Save held-out images as files, dark on light, one of each class as far as they go round."""
    folder, test = outcome.run / "samples", outcome.data.test
    folder.mkdir(exist_ok=True)
    by_class = [torch.nonzero(test.labels == c).flatten() for c in range(len(outcome.data.classes))]
    rounds = [int(found[n]) for n in range(SAMPLES) for found in by_class if n < len(found)]
    for position in rounds[:SAMPLES]:
        pixels = test.images[position, 0].numpy()
        side = max(1, SAMPLE_SIDE // pixels.shape[1]) * pixels.shape[1]
        picture = ImageOps.invert(Image.fromarray(pixels)).resize((side, side))
        framed = ImageOps.expand(picture, side // 8, fill=255)
        name = outcome.data.classes[int(test.labels[position])]
        content = io.BytesIO()
        framed.save(content, "PNG")
        _write(folder / f"held-out-{position:04d}-is-{name}.png", content.getvalue())
