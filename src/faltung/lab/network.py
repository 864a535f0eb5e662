"""A trained network, opened for the page, and one pass of a drawing through all its layers.

The network is only read: nothing is hooked into it and no gradient stays in it, so that any number
of requests may pass through it at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from faltung import nn
from faltung.errors import DataError
from faltung.functional.arguments import padding_form, pair, sliding
from faltung.geometry import ReceptiveField, Window
from faltung.lab.drawing import Framed, framed
from faltung.recognition.checkpoint import OpenRun, open_run
from faltung.recognition.framing import frame_file

ALONE = (Window(1), Window(1))
SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True)
class Sample:
    """An image that the network never saw in training: its class, and its pixels, 0 to 255."""

    name: str
    image: list[list[int]]


@dataclass(frozen=True)
class Stage:
    """A layer of the network, and where it stands.

    Attributes:
        kind: "conv", "pool", "norm", "relu" or "linear".
        module: The layer.
        windows: Its windows along height and width; of one tap where it has none.
        field: The receptive field of its units along one axis; both are alike, since pictures and
            windows of these networks are square.
    """

    kind: str
    module: torch.nn.Module
    windows: tuple[Window, Window]
    field: ReceptiveField


@dataclass(frozen=True)
class Network:
    """A trained run.

    Attributes:
        run: The network and what it was trained on; no parameter asks for a gradient.
        name: What the page calls it.
        samples: Held-out images of the run.
        stages: Its layers in order.
    """

    run: OpenRun
    name: str
    samples: tuple[Sample, ...]
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Pass:
    """A drawing's way through the network.

    Attributes:
        framed: The drawing as the network sees it.
        pixels: The same from 0 to 1, (1, 1, H, W); it requires its gradient.
        normalised: The same, shifted and scaled as in training.
        results: What each layer made of it.
    """

    framed: Framed
    pixels: Tensor
    normalised: Tensor
    results: tuple[Tensor, ...]

    def into(self, layer: int) -> Tensor:
        """Return what a layer got."""
        return self.results[layer - 1] if layer else self.normalised


def open_network(folder: Path | None) -> Network:
    """Open a trained run, or the one that comes with the library.

    Raises:
        RunError: The run is missing, damaged, or of another network.
    """
    home = folder or SHIPPED
    run = open_run(home)
    run.model.requires_grad_(False)
    found = _samples(sorted((home / "samples").glob("held-out-*-is-*.png")), run)
    name = "digits" if folder is None else folder.resolve().name
    by_class = tuple(sorted(found, key=lambda sample: sample.name))
    return Network(run, name, by_class, tuple(_stages(run)))


def forward(network: Network, text: str) -> Pass:
    """Run the network on a drawing, layer by layer.

    Raises:
        DataError: The text is no drawing.
    """
    run = network.run
    seen = framed(text, run.frame)
    pixels = (seen.image.float() / 255)[None, None].requires_grad_()
    normalised = value = run.facts.normalised(pixels)
    results = []
    for stage in network.stages:
        value = stage.module(value.flatten(1) if stage.kind == "linear" else value)
        results.append(value)
    return Pass(seen, pixels, normalised, tuple(results))


def _samples(files: list[Path], run: OpenRun) -> Iterator[Sample]:
    for file in filter(Path.is_file, files):
        try:
            image = frame_file(file, run.frame)
        except DataError:  # a sample that somebody damaged is missed, no more
            continue
        yield Sample(file.stem.partition("-is-")[2], image.tolist())


def _stages(run: OpenRun) -> Iterator[Stage]:
    length, field = run.frame.size, ReceptiveField()
    for module in run.model.body:
        over = ALONE
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
            over = _windows(module, length)
            length, field = over[0].output(length), field.through(over[0])
        yield Stage(_kind(module), module, over, field)
    yield Stage("linear", run.model.head, ALONE, ReceptiveField(run.frame.size))


def _kind(module: torch.nn.Module) -> str:
    kinds = ((nn.Conv2d, "conv"), (nn.MaxPool2d, "pool"), (torch.nn.BatchNorm2d, "norm"))
    return next((name for kind, name in kinds if isinstance(module, kind)), "relu")


def _windows(module: nn.Conv2d | nn.MaxPool2d, length: int) -> tuple[Window, Window]:
    size, stride, dilation = (
        pair(name, getattr(module, name)) for name in ("kernel_size", "stride", "dilation")
    )
    return sliding((length, length), size, stride, padding_form(module.padding), dilation)
