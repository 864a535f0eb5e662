"""Results: what was measured for a problem and a direction, ratios, and their geometric means."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from faltung.bench.layer import DIRECTIONS
from faltung.bench.problems import GROUPS, Problem
from faltung.bench.timing import Spread

WRONG = 5e-2  # a larger relative error is a wrong result; networks in bfloat16 stay below
EVERYTHING = "all"


def is_ours(name: str) -> bool:
    """Say whether a candidate is this library."""
    return name.startswith("ours ")


def is_torch(name: str) -> bool:
    """Say whether a candidate is eager torch."""
    return name.startswith("torch ")


def is_peer(name: str) -> bool:
    """Say whether a candidate is anybody else."""
    return not is_ours(name)


Selection = Callable[[str], bool]

# What is divided by what: the fastest of some candidates, and the fastest of others.
RATIOS: dict[str, tuple[Selection, Selection]] = {
    "ours/torch": (is_ours, is_torch),
    "ours/best": (is_ours, is_peer),
    "nchw/torch": ("ours nchw".__eq__, is_torch),
    "channels_last/torch": ("ours channels_last".__eq__, is_torch),
    "nchw/nchw": ("ours nchw".__eq__, "torch nchw".__eq__),
    "channels_last/channels_last": ("ours channels_last".__eq__, "torch channels_last".__eq__),
}


@dataclass(frozen=True)
class Measured:
    """The times of a candidate, and its relative error against float64."""

    spread: Spread
    error: float

    @property
    def right(self) -> bool:
        """Whether the result is right; NaN is not."""
        return self.error <= WRONG


class Compared:
    """Candidates that were measured on one task.

    Attributes:
        measured: Candidates by name.
        failed: Why a candidate that should have run did not, by name.
    """

    measured: Mapping[str, Measured]
    failed: Mapping[str, str]

    @property
    def group(self) -> str:
        """What is shown together."""
        raise NotImplementedError

    @property
    def task(self) -> str:
        """The task in a few words."""
        raise NotImplementedError

    def fastest(self, which: Selection) -> str | None:
        """Return the fastest of some candidates; one whose result is wrong has no speed."""
        names = [n for n, found in self.measured.items() if which(n) and found.right]
        return min(names, key=lambda name: self.measured[name].spread.median, default=None)

    def ratio(self, name: str) -> float | None:
        """Return one of `RATIOS`: above 1 we are faster. None where one side is missing."""
        mine, theirs = (self.fastest(which) for which in RATIOS[name])
        if mine is None or theirs is None:
            return None
        return self.measured[theirs].spread.median / self.measured[mine].spread.median

    @property
    def widest(self) -> float | None:
        """The widest distance between the quartiles of a candidate, ours or torch's."""
        judged = [f.spread.width for n, f in self.measured.items() if is_ours(n) or is_torch(n)]
        return max(judged, default=None)

    def error(self, which: Selection) -> float | None:
        """Return the largest error among some candidates, NaN above all."""
        errors = [found.error for name, found in self.measured.items() if which(name)]
        return max(errors, key=lambda e: (math.isnan(e), e), default=None)

    def complaints(self) -> list[str]:
        """Return what is wrong, in sentences: wrong results and failures."""
        wrong = [
            f"{self.task}: {name} is WRONG, its relative error is {found.error:.1e}"
            for name, found in self.measured.items()
            if not found.right
        ]
        return wrong + [f"{self.task}: {name} failed: {why}" for name, why in self.failed.items()]

    @property
    def healthy(self) -> bool:
        """Whether all candidates of ours ran and are right."""
        ran = all(found.right for name, found in self.measured.items() if is_ours(name))
        return ran and not any(is_ours(name) for name in self.failed)


@dataclass(frozen=True)
class Row(Compared):
    """What was measured for one problem and direction.

    Attributes:
        problem: The problem.
        direction: "forward", "input" or "weight".
        measured: Candidates by name.
        failed: Why a candidate that should have run did not, by name.
    """

    problem: Problem
    direction: str
    measured: Mapping[str, Measured]
    failed: Mapping[str, str]

    @property
    def group(self) -> str:
        """The problem's group."""
        return self.problem.group

    @property
    def task(self) -> str:
        """The problem's name and the direction."""
        return f"{self.problem.name} {self.direction}"

    def gflops(self, name: str) -> float:
        """Return the speed of a candidate by its median time."""
        return self.problem.layer.flops / self.measured[name].spread.median / 1e9

    def of_peak(self, peak: float) -> float | None:
        """Return the part of the chip's GFLOP/s that we reach; None for pools, bound by memory."""
        mine = self.fastest(is_ours)
        if mine is None or self.problem.layer.is_pool:
            return None
        return self.gflops(mine) / peak


@dataclass(frozen=True)
class Summary:
    """A ratio over a group of problems.

    Attributes:
        group: Group of problems.
        direction: A direction, or "all" of them.
        ratio: Name of the ratio.
        mean: Geometric mean.
        worst: The smallest ratio.
        at: The problem and direction where it is smallest.
        count: Number of ratios.
    """

    group: str
    direction: str
    ratio: str
    mean: float
    worst: float
    at: str
    count: int


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Return geometric mean and worst of every ratio, by group and direction."""
    found = list(rows)
    result = []
    for group in GROUPS:
        for direction in (*DIRECTIONS, EVERYTHING):
            chosen = [
                row
                for row in found
                if row.problem.group == group and direction in {row.direction, EVERYTHING}
            ]
            result += [s for name in RATIOS if (s := _summary(group, direction, name, chosen))]
    return result


def _summary(group: str, direction: str, name: str, rows: Sequence[Row]) -> Summary | None:
    ratios = [(ratio, row.task) for row in rows if (ratio := row.ratio(name)) is not None]
    if not ratios:
        return None
    worst, at = min(ratios)
    mean = statistics.geometric_mean([ratio for ratio, _ in ratios])
    return Summary(group, direction, name, mean, worst, at, len(ratios))
