"""Whole networks: torch with and without our kernels, in both memory formats.

What is measured is the forward, or a step of training: forward, and the gradients of all
parameters. The modules and weights are the same; ours run under `faltung.enabled()`. Nothing is
folded or traced, so that the difference is that of the convolutions and pools.
"""

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from faltung.bench.networks import Network, built
from faltung.bench.peers import FORMATS
from faltung.bench.results import Compared, Measured, is_ours
from faltung.bench.task import Parts, failure, relative_error
from faltung.bench.timing import Context, Spread, measure
from faltung.switch import enabled

NAMES = tuple(f"{family} {layout}" for family in ("torch", "ours") for layout in FORMATS)
IN_TURN = 50e-3  # seconds; shorter calls follow each other in practice, and threads stay awake
WITHIN: dict[str, Context] = {name: enabled for name in NAMES if is_ours(name)}


@dataclass(frozen=True)
class Whole(Compared):
    """What was measured for one network and batch.

    Attributes:
        name: The network's name.
        batch: Images of a call.
        measured: Candidates by name.
        failed: Why a candidate did not run, by name.
    """

    name: str
    batch: int
    measured: Mapping[str, Measured]
    failed: Mapping[str, str]

    @property
    def group(self) -> str:
        """The network's name."""
        return self.name

    @property
    def task(self) -> str:
        """The network's name and the batch."""
        return f"{self.name}, batch {self.batch}"


@dataclass(frozen=True)
class Ready:
    """A network with random weights that is ready to be measured.

    Attributes:
        name: Its name.
        modules: It, by memory format.
        images: (N, C, H, W); a smaller batch takes the first of them.
        training: Whether steps of training are measured.
        exact: What it makes of the first image in float64: maps, or gradients.
    """

    name: str
    modules: Mapping[str, nn.Module]
    images: Tensor
    training: bool
    exact: Parts

    def call(self, name: str, batch: int) -> Callable[[], Parts]:
        """Return what is measured of a candidate, in its memory format."""
        layout = name.split()[1]
        x = self.images[:batch].contiguous(memory_format=FORMATS[layout])
        return partial(_step if self.training else _forward, self.modules[layout], x)

    def error(self, name: str, batch: int) -> float:
        """Make a call of a candidate; return its relative error for the first image.

        Of a step of training on all images only that it is finite is known.
        """
        found = self.call(name, batch)()
        if not self.training:
            return relative_error((found[0][:1],), self.exact)
        if not all(bool(part.isfinite().all()) for part in found):
            return math.nan
        module = self.modules[name.split()[1]]
        _train(module, on=False)
        try:
            found = self.call(name, 1)()
        finally:
            _train(module, on=True)
        return relative_error(_joined(found), _joined(self.exact))


def ready(name: str, network: Network, most: int, *, training: bool = False) -> Ready:
    """Build a network, and compute in float64, by torch's own kernels, what is right.

    Steps of training take the statistics of the batch, whose gradients are so sensitive that all
    candidates differ by per cents; what is compared are gradients in eval mode.

    Args:
        name: Its name.
        network: The network.
        most: Images of the largest batch.
        training: Whether steps of training are to be measured.
    """
    module = built(network)
    images = torch.randn(most, *network.shape, generator=torch.Generator().manual_seed(0))
    exact = (_step if training else _forward)(copy.deepcopy(module).double(), images[:1].double())
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.0  # statistics are taken, and not kept
    _train(module, on=training)
    modules: dict[str, nn.Module] = {}
    for layout, form in FORMATS.items():
        modules[layout] = copy.deepcopy(module).to(memory_format=form)  # type: ignore[call-overload]
    return Ready(name, modules, images, training, exact)


def _train(module: nn.Module, *, on: bool) -> None:
    """Switch training on or off; nothing is dropped."""
    for part in module.modules():
        part.training = on and not isinstance(part, nn.Dropout)


def _forward(module: nn.Module, x: Tensor) -> Parts:
    return (module(x),)


def _step(module: nn.Module, x: Tensor) -> Parts:
    """Return the gradients of all parameters by the mean square of the maps."""
    with torch.enable_grad():
        return torch.autograd.grad(module(x).square().mean(), list(module.parameters()))


def _joined(parts: Parts) -> Parts:
    """Return one vector: a gradient that is small beside the others matters as little."""
    return (torch.cat([part.flatten() for part in parts]),)


def measured(
    network: Ready,
    batch: int,
    rounds: int,
    seconds: float,
    timer: Callable[..., dict[str, Spread]] = measure,
) -> Whole:
    """Measure a network: first whether each result is right, then how fast it comes.

    Args:
        network: The network.
        batch: Images of a call.
        rounds: Samples of each candidate.
        seconds: No round starts later.
        timer: Times calls, as `timing.measure` does.
    """
    calls: dict[str, Callable[[], Parts]] = {}
    errors: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name in NAMES:
        call = network.call(name, batch)
        try:
            with WITHIN.get(name, nullcontext)():
                errors[name] = network.error(name, batch)
            calls[name] = call
        except Exception as error:  # of one candidate, which must not end the others' run
            failed[name] = failure(error)
    times = timer(calls, rounds, seconds, within=WITHIN, warm=True, short=IN_TURN)
    found = {name: Measured(times[name], errors[name]) for name in calls}
    return Whole(network.name, batch, found, failed)
