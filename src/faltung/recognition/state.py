"""The state of a training: everything that changes, saved and restored to the last bit.

All randomness is drawn from generators seeded by (seed, epoch, step), so that the position in the
training is their whole state; torch's global generator is kept too, for layers that use it.
"""

import copy
import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faltung.errors import RunError
from faltung.recognition import checkpoint
from faltung.recognition.checkpoint import Facts
from faltung.recognition.config import Config
from faltung.recognition.model import Reader
from faltung.recognition.progress import Row


def generator(*key: int) -> torch.Generator:
    """Return a generator that only these numbers decide, such as (seed, epoch, step)."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


@dataclass
class State:
    """A training at one moment.

    Attributes:
        model: The network that is trained.
        average: The moving average of its weights and of its batch norms' statistics.
        optimizer: AdamW over the network.
        epoch: Finished epochs.
        step: Finished steps of the epoch under way.
        loss: Sum of the losses of these steps' images.
        right: How many of them were read right.
        seconds: Time these steps took.
        best_accuracy: Best validation accuracy so far.
        waited: Epochs since it was reached first.
        history: A row for each finished epoch.
    """

    model: Reader
    average: Reader
    optimizer: torch.optim.AdamW
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    right: float = 0.0
    seconds: float = 0.0
    best_accuracy: float = -math.inf
    waited: int = 0
    history: list[Row] = field(default_factory=list)


_NUMBERS = (
    "epoch",
    "step",
    "loss",
    "right",
    "seconds",
    "best_accuracy",
    "waited",
    "history",
)


def start(facts: Facts, config: Config, device: torch.device) -> State:
    """Return a training that has not begun, its weights drawn from the seed."""
    torch.manual_seed(config.seed)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    model = checkpoint.build(facts, config).to(device)
    model = model.to(memory_format=layout)  # type: ignore[call-overload]
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.rate, betas=(0.9, 0.99))
    return State(model, copy.deepcopy(model).eval(), optimizer)


def update_average(state: State, done: int, decay: float) -> None:
    """Move the average towards the weights; early steps move it more.

    Args:
        state: The training.
        done: Steps made so far.
        decay: Share of the old average that stays, once there were many steps.
    """
    share = 1 - min(decay, (1 + done) / (10 + done))
    pairs = zip(state.average.state_dict().values(), state.model.state_dict().values(), strict=True)
    for mean, value in pairs:
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)


def save(state: State, facts: Facts, config: Config, file: Path) -> None:
    """Write everything that resuming needs, as one file."""
    tensors: dict[str, Tensor] = {"random": torch.get_rng_state()}
    for part in ("model", "average"):
        held: Reader = getattr(state, part)
        tensors.update({f"{part}.{name}": t for name, t in held.state_dict().items()})
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": t for name, t in values.items()})
    numbers = {name: getattr(state, name) for name in _NUMBERS}
    checkpoint.save(file, tensors, {**checkpoint.facts_as_notes(facts, config), "state": numbers})


def restore(file: Path, device: torch.device, facts: Facts) -> tuple[State, Config]:
    """Return the training that a checkpoint holds.

    Args:
        file: A checkpoint written by `save`.
        device: Where to go on.
        facts: What the data set is now.

    Raises:
        RunError: The file is missing or damaged, or the data set has changed.
    """
    tensors, notes = checkpoint.load(file)
    then, config = checkpoint.parse_notes(file, notes)
    if then != facts:
        raise RunError(
            f"{file} was trained on other data than {config.source!r} holds now: bring the data "
            f"back as it was, or train anew"
        )
    state = start(facts, config, device)
    for part in ("model", "average"):
        checkpoint.restore(getattr(state, part), _under(part, tensors), file)
    moments: dict[int, dict[str, Any]] = {}
    for name, tensor in _under("optimizer", tensors).items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = tensor
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    try:
        for name in _NUMBERS:
            setattr(state, name, notes["state"][name])
        torch.set_rng_state(tensors["random"])
    except KeyError as error:
        raise RunError(f"{file} lacks {error}: it was written by another version") from None
    return state, config


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    dotted = f"{prefix}."
    return {n.removeprefix(dotted): t for n, t in tensors.items() if n.startswith(dotted)}
