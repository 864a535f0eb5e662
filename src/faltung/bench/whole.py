"""Whole networks: torch's forward with and without our kernels, in both memory formats.

The modules and weights are the same; ours run under `faltung.enabled()`. Nothing is folded or
traced, so that the difference is that of the convolutions and pools.
"""

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from faltung.bench.networks import Network, built
from faltung.bench.peers import FORMATS
from faltung.bench.results import Compared, Measured, is_ours
from faltung.bench.task import failure, relative_error
from faltung.bench.timing import Context, Spread, measure
from faltung.switch import enabled

NAMES = tuple(f"{family} {layout}" for family in ("torch", "ours") for layout in FORMATS)
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
        exact: What it makes of the first image in float64.
    """

    name: str
    modules: Mapping[str, nn.Module]
    images: Tensor
    exact: Tensor

    def call(self, name: str, batch: int) -> Callable[[], Tensor]:
        """Return the forward of a candidate, in its memory format."""
        layout = name.split()[1]
        module = self.modules[layout]
        x = self.images[:batch].contiguous(memory_format=FORMATS[layout])
        return lambda: module(x)


def ready(name: str, network: Network, most: int) -> Ready:
    """Build a network, and compute in float64, by torch's own kernels, what is right.

    Args:
        name: Its name.
        network: The network.
        most: Images of the largest batch.
    """
    module = built(network)
    images = torch.randn(most, *network.shape, generator=torch.Generator().manual_seed(0))
    exact = copy.deepcopy(module).double()(images[:1].double())
    modules: dict[str, nn.Module] = {}
    for layout, form in FORMATS.items():
        modules[layout] = copy.deepcopy(module).to(memory_format=form)  # type: ignore[call-overload]
    return Ready(name, modules, images, exact)


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
    calls: dict[str, Callable[[], Tensor]] = {}
    errors: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name in NAMES:
        call = network.call(name, batch)
        try:
            errors[name] = _error(name, call, network.exact)
            calls[name] = call
        except Exception as error:  # of one candidate, which must not end the others' run
            failed[name] = failure(error)
    times = timer(calls, rounds, seconds, within=WITHIN, warm=True)
    found = {name: Measured(times[name], errors[name]) for name in calls}
    return Whole(network.name, batch, found, failed)


def _error(name: str, call: Callable[[], Tensor], exact: Tensor) -> float:
    with WITHIN.get(name, nullcontext)():
        return relative_error((call()[:1],), (exact,))
