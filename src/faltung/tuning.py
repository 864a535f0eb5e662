"""Candidates for a problem, correct first and then fast: the best is remembered for later plans.

A plan that this process has made already stays as it is; plans of other processes, and of this one
for problems that it has not met, follow what is remembered.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from faltung.compiler import memory, planner
from faltung.compiler.call import Call, ready
from faltung.compiler.plan import Algorithm
from faltung.compiler.problem import Problem
from faltung.definition import wrong
from faltung.errors import DataError
from faltung.operands import Operands, Shape, operands
from faltung.ops import ours

ROUNDS = 7  # samples of each candidate, at least
SECONDS = 1.0  # after this time no further round begins
SAMPLE = 1e-3  # seconds that one sample lasts at least, so that the clock does not matter
GAIN = 1.03  # times faster than the first candidate, at least; less is noise


@dataclass(frozen=True)
class Candidate:
    """An algorithm that takes a problem.

    Attributes:
        algorithm: Its name.
        seconds: Median time of a call, or None where it is wrong.
        fault: What is wrong with its result, or None.
    """

    algorithm: str
    seconds: float | None
    fault: str | None


@dataclass(frozen=True)
class Tuned:
    """What came of tuning a problem; `str` shows it in lines.

    Attributes:
        problem: What is asked.
        candidates: All that take it, from special to general.
        choice: The best algorithm; None where no candidate is right.
        remembered: Plans use it from now on; else they use the first that takes the problem.
    """

    problem: Problem
    candidates: tuple[Candidate, ...]
    choice: str | None
    remembered: bool

    @property
    def right(self) -> bool:
        """No candidate is wrong."""
        return all(candidate.fault is None for candidate in self.candidates)

    def __str__(self) -> str:
        """Return the problem, a line for each candidate, and the choice."""
        width = max((len(c.algorithm) for c in self.candidates), default=0)
        lines = [str(self.problem)]
        lines += [f"  {c.algorithm:<{width}}  {self._measured(c)}" for c in self.candidates]
        return "\n".join([*lines, f"  choice: {self._chosen()}"])

    def _measured(self, candidate: Candidate) -> str:
        if candidate.seconds is None:
            return f"wrong: {candidate.fault}"
        work = 2 * self.problem.macs if self.problem.operation == "conv" else self.problem.bytes
        unit = "GFLOP/s" if self.problem.operation == "conv" else "GB/s"
        rate = work / candidate.seconds / 1e9
        return f"{candidate.seconds * 1e3:9.4g} ms  {rate:7.3g} {unit}  ok"

    def _chosen(self) -> str:
        if not self.candidates:
            return "none, no algorithm of ours takes it; torch's operator runs"
        if self.choice is None:
            return "none, all are wrong; please report this with the output of faltung selfcheck"
        if self.remembered:
            return f"{self.choice}, remembered"
        if self.choice == self.candidates[0].algorithm:
            return f"{self.choice}, {planner.FIRST}"
        return f"{self.choice}, but it could not be remembered"


def tune(problems: Iterable[Problem]) -> list[Tuned]:
    """Measure all candidates for each problem and remember the best for later plans.

    The result of every candidate is compared with the definition in float64 first; what is wrong is
    reported and never chosen. The fastest is remembered where it is at least 3 % faster than the
    first candidate, or where that is wrong; else whatever was remembered is forgotten.

    Args:
        problems: What to tune, for this CPU and torch's number of threads.

    Returns:
        What came of each problem. Where the choices cannot be kept, `memory.choices().trouble`
        says why, and `Tuned.remembered` is false.
    """
    return [_tuned(problem) for problem in problems]


def lines_of(file: Path) -> list[str]:
    """Return the texts of problems in a file: one a line, without comments and empty lines.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"--list is {str(file)!r}, which cannot be read ({error}): name a text file with a "
            f"problem a line"
        ) from None
    return [text for line in lines if (text := line.partition("#")[0].strip())]


def medians(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds of calls that take turns, in an order shuffled each round."""
    counts = {name: _count(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    order, names, began, rounds = random.Random(0), list(calls), time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - began < SECONDS:
        order.shuffle(names)
        for name in names:
            samples[name].append(_timed(calls[name], counts[name]) / counts[name])
        rounds += 1
    return {name: statistics.median(taken) for name, taken in samples.items()}


def _tuned(problem: Problem) -> Tuned:
    cpu, threads = ours.target(), ours.threads()
    taking = [a for a in planner.ALGORITHMS if a.refuses(problem, cpu) is None]
    calls: dict[str, Callable[[], object]] = {}
    faults: dict[str, str] = {}
    for algorithm in taking:
        try:
            call = _call(algorithm, taking, problem)
            given = _operands(problem)
            ours.run(call, *given.addresses)
            fault = wrong(problem, given, exact=False)
        except Exception as error:  # whatever one candidate raises must not end the others
            fault = f"{type(error).__name__}: {error}".splitlines()[0]
        if fault is not None:
            faults[algorithm.NAME] = fault
        else:
            calls[algorithm.NAME] = _runs(call, given)
    seconds = medians(calls) if calls else {}
    names = [algorithm.NAME for algorithm in taking]
    candidates = tuple(Candidate(name, seconds.get(name), faults.get(name)) for name in names)
    choice = _best(names, seconds)
    key, kept = memory.key(problem, cpu, threads), memory.choices()
    if choice is None or choice == names[0]:
        kept.forget(key)
    else:
        kept.remember(key, choice)
    return Tuned(problem, candidates, choice, choice is not None and kept.recall(key) == choice)


def _best(names: list[str], seconds: Mapping[str, float]) -> str | None:
    """Return the fastest candidate that is right, or the first where that is about as fast."""
    if not seconds:
        return None
    fastest = min(seconds, key=seconds.__getitem__)
    first = seconds.get(names[0], math.inf)
    return fastest if first >= GAIN * seconds[fastest] else names[0]


def _call(algorithm: Algorithm, taking: list[Algorithm], problem: Problem) -> Call:
    cpu, threads = ours.target(), ours.threads()
    plan = algorithm.plans(problem, cpu, threads)[0]
    return ready(plan, cpu, planner.substitute(plan, taking, problem, cpu, threads))


def _operands(problem: Problem) -> Operands:
    random = torch.Generator().manual_seed(0)

    def normal(shape: Shape) -> torch.Tensor:
        return torch.randn(shape, generator=random)

    return operands(problem, normal)


def _runs(call: Call, given: Operands) -> Callable[[], object]:
    return lambda: ours.run(call, *given.addresses)


def _count(call: Callable[[], object]) -> int:
    """Return how many calls last about `SAMPLE`."""
    _timed(call, 1)
    return max(1, math.ceil(SAMPLE / max(_timed(call, 1), 1e-9)))


def _timed(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - began
