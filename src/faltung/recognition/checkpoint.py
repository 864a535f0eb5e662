"""Checkpoints of a run, as safetensors: `best` to read with, `last` to go on training from."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from faltung.errors import FaltungError, RunError
from faltung.recognition.config import Config, make
from faltung.recognition.files import replacing
from faltung.recognition.framing import Frame
from faltung.recognition.model import Reader

BEST = "best.safetensors"
LAST = "last.safetensors"
FORMAT = "faltung-run-1"


@dataclass(frozen=True)
class Facts:
    """What a network must know besides its weights.

    Attributes:
        classes: Names of the classes, in the order of the logits.
        frame: How characters lie in the images.
        mean: Mean of the training pixels, 0 to 1.
        std: Their standard deviation.
    """

    classes: tuple[str, ...]
    frame: Frame
    mean: float
    std: float

    def normalised(self, images: Tensor) -> Tensor:
        """Return images 0 to 1, shifted and scaled to mean 0 and deviation 1."""
        return (images - self.mean) / self.std


@dataclass(frozen=True)
class OpenRun:
    """A trained network, ready to read.

    Attributes:
        model: The network with the best weights, in evaluation mode.
        facts: What it was trained on.
        config: How it was trained.
    """

    model: Reader
    facts: Facts
    config: Config

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self.facts.classes

    @property
    def frame(self) -> Frame:
        """How characters lie in the images."""
        return self.facts.frame

    def logits(self, images_n1hw: Tensor) -> Tensor:
        """Return logits (N, classes) for images uint8 (N, 1, H, W)."""
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            pixels = images_n1hw.to(device).float() / 255
            y: Tensor = self.model(self.facts.normalised(pixels))
            return y


def save(file: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any]) -> None:
    """Write tensors and notes (anything JSON holds) as one file, atomically.

    Raises:
        RunError: The file cannot be written.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        with replacing(file) as part:
            save_file(contiguous, part, {"format": FORMAT, "notes": json.dumps(notes)})
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{file} cannot be written ({error}): make room and allow writing there, or name "
            f"another folder with --out"
        ) from None


def load(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and notes of a checkpoint.

    Raises:
        RunError: The file is missing, damaged, or no checkpoint of this library.
    """
    if not file.is_file():
        raise RunError(f"{file} does not exist: name the folder of a run made by `faltung train`")
    try:
        with safe_open(file, framework="pt") as opened:
            header = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        notes = json.loads(header["notes"]) if header.get("format") == FORMAT else None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise RunError(f"{file} is damaged ({error}): restore it, or train again") from None
    if not isinstance(notes, dict):
        raise RunError(f"{file} is no checkpoint of this library: name a run of `faltung train`")
    return tensors, notes


def facts_as_notes(facts: Facts, config: Config) -> dict[str, Any]:
    """Return what a checkpoint notes of the network besides its weights."""
    return {"facts": asdict(facts), "config": asdict(config)}


def build(facts: Facts, config: Config) -> Reader:
    """Return a new network for those classes and images."""
    size = facts.frame.size
    return Reader(len(facts.classes), config.widths, size, config.first_kernel)


def parse_notes(file: Path, notes: Mapping[str, Any]) -> tuple[Facts, Config]:
    """Return what a checkpoint notes besides its weights.

    Raises:
        RunError: Something is missing, or not as this version writes it.
    """
    try:
        facts = dict(notes["facts"])
        frame = Frame(**facts.pop("frame"))
        classes = tuple(facts.pop("classes"))
        return Facts(classes, frame, **facts), make(notes["config"])
    except (KeyError, TypeError, FaltungError) as error:
        raise RunError(f"{file} was written by another version ({error}): train again") from None


def open_run(run: Path) -> OpenRun:
    """Open a trained run to read with its best weights.

    Raises:
        RunError: The run is missing, damaged, or of another network.
    """
    file = run / BEST
    tensors, notes = load(file)
    facts, config = parse_notes(file, notes)
    model = build(facts, config)
    restore(model, tensors, file)
    return OpenRun(model.eval(), facts, config)


def restore(model: torch.nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Load weights into a network.

    Raises:
        RunError: They are those of another network.
    """
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{file} holds the weights of another network: {reason}") from None
