"""Timing of calls that take turns: calibrated samples, shuffled rounds, medians and quartiles."""

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType

Call = Callable[[], object]
Context = Callable[[], AbstractContextManager[object]]
Clock = Callable[[], float]

SAMPLE = 5e-3  # seconds that one sample lasts at least: threads and clocks are slow to wake
SHORT = 5e-3  # seconds; a shorter call is preceded by one that is not timed
QUIET = 5e-3  # seconds within which the process must use next to no CPU before a sample
PATIENCE = 40  # such periods at most
GROWTH = 10  # times more calls, at most, from one calibration to the next
LEAST = 3  # rounds that everybody gets, whatever the time limit
HOPELESS = 20  # times slower than the fastest: takes part in the first LEAST rounds only


@dataclass(frozen=True)
class Spread:
    """Seconds of one call: first quartile, median and third quartile of some samples."""

    low: float
    median: float
    high: float
    samples: int

    @property
    def width(self) -> float:
        """Distance between the quartiles, as a part of the median."""
        return (self.high - self.low) / self.median


def spread(seconds: list[float]) -> Spread:
    """Return median and quartiles of at least one sample."""
    if len(seconds) == 1:
        return Spread(seconds[0], seconds[0], seconds[0], 1)
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Spread(low, median, high, len(seconds))


def measure(
    calls: Mapping[str, Call],
    rounds: int,
    seconds: float = math.inf,
    *,
    seed: int = 0,
    clock: Clock = time.perf_counter,
    settle: Callable[[], None] | None = None,
    within: Mapping[str, Context] = MappingProxyType({}),
    warm: bool = False,
    short: float = SHORT,
) -> dict[str, Spread]:
    """Time calls that take turns, so that what disturbs the machine disturbs all of them.

    Every call is made once without being timed, unless all are warm already, then as often as one
    sample needs to last `SAMPLE`.
    Each round takes one sample of everybody, in an order shuffled anew. Nothing is flushed: data
    that fits into a cache is found there.

    Args:
        calls: What is timed, by name.
        rounds: Samples wanted of each.
        seconds: No round starts after this time, except the first `LEAST`.
        seed: Of the shuffling.
        clock: Tells the time in seconds.
        settle: Called before each calibration and sample; None waits `until_quiet`.
        within: What a call is made within, by name; to enter and to leave it is not timed.
        warm: Whether every call has been made before.
        short: Seconds; a sample of a shorter call begins with one that is not timed.

    Returns:
        Seconds of one call for every name.
    """
    settle = settle or until_quiet
    order = random.Random(seed)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    with _without_garbage_collection():
        repeats = {}
        for name, call in calls.items():
            with within.get(name, nullcontext)():
                if not warm:
                    call()
                settle()
                repeats[name] = _calibrated(call, clock)
        names = list(calls)
        began = clock()
        for done in range(rounds):
            if done == LEAST:
                names = _hopeful(samples)
            if done >= LEAST and clock() - began > seconds:
                break
            order.shuffle(names)
            for name in names:
                with within.get(name, nullcontext)():
                    settle()
                    count, once = repeats[name]
                    if once < short:
                        calls[name]()
                    samples[name].append(_timed(calls[name], count, clock) / count)
    return {name: spread(taken) for name, taken in samples.items()}


def _hopeful(samples: Mapping[str, list[float]]) -> list[str]:
    """Return the names that are not `HOPELESS`, by their best samples."""
    best = {name: min(taken) for name, taken in samples.items()}
    fastest = min(best.values(), default=0.0)
    return [name for name, seconds in best.items() if seconds <= HOPELESS * fastest]


def until_quiet(
    sleep: Callable[[float], None] = time.sleep, used: Clock = time.process_time
) -> None:
    """Wait until no thread of this process works.

    Threads of a candidate spin for a while after its call, in expectation of the next: about 10 ms
    those of OpenMP, 40 ms those of ONNX Runtime. They would take a core from the next candidate.

    Args:
        sleep: Waits for a number of seconds.
        used: Tells how many seconds of CPU the process has used, all threads together.
    """
    for _ in range(PATIENCE):
        before = used()
        sleep(QUIET)
        if used() - before < QUIET / 5:
            return


def _calibrated(call: Call, clock: Clock) -> tuple[int, float]:
    """Return how many calls last `SAMPLE`, and the seconds of one."""
    count = 1
    while True:
        elapsed = _timed(call, count, clock)
        if elapsed >= SAMPLE:
            return count, elapsed / count
        needed = math.ceil(1.1 * count * SAMPLE / elapsed) if elapsed > 0 else GROWTH * count
        count = min(max(needed, count + 1), GROWTH * count)


def _timed(call: Call, count: int, clock: Clock) -> float:
    began = clock()
    for _ in range(count):
        call()
    return clock() - began


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Collect now rather than in the middle of a sample."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
