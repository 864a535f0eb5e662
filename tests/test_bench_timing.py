"""The benchmark's timing: turns and statistics, under a clock of its own."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from faltung.bench import timing
from faltung.bench.timing import Spread, measure, spread


class Clock:
    """A clock that calls move on, and the order in which they were made."""

    def __init__(self) -> None:
        self.now = 0.0
        self.made: list[str] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def call(self, name: str, seconds: float) -> Callable[[], None]:
        """Return a call that takes that long."""

        def work() -> None:
            self.now += seconds
            self.made.append(name)

        return work

    def calls(self, **seconds: float) -> dict[str, Callable[[], None]]:
        """Return calls by name."""
        return {name: self.call(name, each) for name, each in seconds.items()}


def still() -> None:
    """Settle at once."""


def test_every_round_has_everybody_in_an_order_of_its_own() -> None:
    clock = Clock()
    times = measure(clock.calls(a=0.25, b=0.5, c=1.0), 8, clock=clock, settle=still)
    rounds = [clock.made[at : at + 3] for at in range(6, len(clock.made), 3)]
    assert clock.made[:6] == ["a", "a", "b", "b", "c", "c"], "once untimed, once calibrated"
    assert len(rounds) == 8
    assert all(sorted(turn) == ["a", "b", "c"] for turn in rounds)
    assert len({tuple(turn) for turn in rounds}) > 2
    assert times == {name: Spread(t, t, t, 8) for name, t in (("a", 0.25), ("b", 0.5), ("c", 1.0))}


def test_the_order_follows_the_seed() -> None:
    orders = []
    for seed in (1, 1, 2):
        clock = Clock()
        measure(clock.calls(a=0.25, b=0.5, c=1.0), 8, seed=seed, clock=clock, settle=still)
        orders.append(clock.made)
    assert orders[0] == orders[1] != orders[2]


def test_a_short_call_is_repeated_and_preceded_by_one_that_is_not_timed() -> None:
    clock, quiet = Clock(), []
    call = clock.calls(a=1 / 8192)
    times = measure(call, 2, clock=clock, settle=lambda: quiet.append(len(clock.made)))
    _, first, second = quiet
    repeats = second - first - 1
    assert repeats / 8192 >= timing.SAMPLE > (repeats / 1.1 - 1) / 8192
    assert len(clock.made) == second + 1 + repeats
    assert times["a"] == Spread(1 / 8192, 1 / 8192, 1 / 8192, 2)


def test_what_is_short_is_the_callers_to_say() -> None:
    clock = Clock()
    measure(clock.calls(a=0.25), 2, clock=clock, settle=still, warm=True, short=0.5)
    assert len(clock.made) == 1 + 2 * 2


def test_a_clock_that_stands_still_for_a_while_is_enough() -> None:
    clock = Clock()
    seconds = iter([0.0] * 150)

    def work() -> None:
        clock.now += next(seconds, 0.5)

    times = measure({"a": work}, 1, clock=clock, settle=still)
    assert times["a"].samples == 1


def test_what_is_hopeless_gets_three_samples_and_no_round_starts_after_the_limit() -> None:
    clock = Clock()
    times = measure(clock.calls(a=0.25, b=64.0), 10, clock=clock, settle=still)
    assert (times["a"].samples, times["b"].samples) == (10, timing.LEAST)
    clock = Clock()
    stumbling = iter([0.25, 64.0, 64.0])
    calls = clock.calls(a=0.25)

    def work() -> None:
        clock.now += next(stumbling, 0.25)

    times = measure({**calls, "b": work}, 10, clock=clock, settle=still)
    assert times["b"].samples == 10, "judged by its best samples"
    clock = Clock()
    times = measure(clock.calls(a=0.25, b=0.25), 100, seconds=2.0, clock=clock, settle=still)
    assert times["a"].samples == times["b"].samples == 5
    clock = Clock()
    assert measure(clock.calls(a=9.0), 100, 1.0, clock=clock, settle=still)["a"].samples == 3


def test_what_a_call_is_made_within_is_not_timed() -> None:
    clock = Clock()

    @contextmanager
    def slow() -> Iterator[None]:
        clock.call("enter", 3.0)()
        yield
        clock.call("leave", 3.0)()

    calls = clock.calls(a=0.25, b=0.5)
    times = measure(calls, 2, clock=clock, settle=still, within={"b": slow})
    assert clock.made[:6] == ["a", "a", "enter", "b", "b", "leave"]
    assert sorted(clock.made[6:10]) == ["a", "b", "enter", "leave"]
    assert (times["a"].median, times["b"].median) == (0.25, 0.5)


def test_what_is_warm_is_not_called_without_being_timed() -> None:
    clock = Clock()
    measure(clock.calls(a=0.25, b=0.5), 1, clock=clock, settle=still, warm=True)
    assert clock.made[:2] == ["a", "b"]
    assert len(clock.made) == 4


def test_garbage_is_collected_before_and_not_between() -> None:
    assert gc.isenabled()
    seen: list[bool] = []
    clock = Clock()

    def work() -> None:
        seen.append(gc.isenabled())
        clock.now += 1

    measure({"a": work}, 1, clock=clock, settle=still)
    assert seen == [False] * 3
    assert gc.isenabled()


def test_waiting_ends_when_the_process_is_quiet_or_patience_does() -> None:
    used = iter([0.0, 0.005, 0.005, 0.01, 0.01, 0.0102])
    slept: list[float] = []
    timing.until_quiet(slept.append, lambda: next(used))
    assert slept == [timing.QUIET] * 3
    busy = Clock()
    timing.until_quiet(lambda seconds: busy.call("sleep", seconds)(), busy)
    assert len(busy.made) == timing.PATIENCE


def test_median_and_quartiles() -> None:
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(2.0, 3.0, 4.0, 5)
    assert spread([2.0]) == Spread(2.0, 2.0, 2.0, 1)
    assert Spread(2.0, 4.0, 5.0, 9).width == 0.75
