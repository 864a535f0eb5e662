"""One problem: the kernel that runs and why, the times of all that take it, and the roofline."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from faltung.asked import stated
from faltung.bench.timing import Spread, measure
from faltung.compiler import planner
from faltung.compiler.call import Call, ready
from faltung.compiler.problem import Problem
from faltung.definition import definition, wrong
from faltung.errors import ArgumentError
from faltung.explain import why
from faltung.lab.fields import Asked, Short
from faltung.lab.roofline import Roofline, roofline
from faltung.operands import Operands, operands
from faltung.ops import ours

MACS = 2 * 10**9
BYTES = 256 * 2**20
ROUNDS = 7
SECONDS = 2.0  # no round of measuring starts later


class CompareAsked(Asked):
    """A problem in one line of text, such as "ic64ih56oc64kh3ph1"."""

    text: Short


@dataclass(frozen=True)
class Explained:
    """Which kernel runs for a problem, and why.

    Attributes:
        problem: The problem in full.
        lines: What `faltung.why` says, a name and a sentence a line.
        macs: Products that are summed; for pools, elements that are compared or added.
        bytes: Bytes of all tensors, each once.
        intensity: Operations for each byte.
        pool: It is a pool: its operations are comparisons or additions.
    """

    problem: str
    lines: list[tuple[str, str]]
    macs: int
    bytes: int
    intensity: float
    pool: bool


@dataclass(frozen=True)
class Timed:
    """One that solves the problem.

    Attributes:
        name: An algorithm of this library, or "torch".
        runs: It is what `faltung` runs.
        milliseconds: Median time of a call; None where its result is wrong.
        low: First quartile.
        high: Third quartile.
        samples: How many there were.
        gflops: Operations in a second, in units of 1e9.
        fault: What is wrong with its result, or None.
    """

    name: str
    runs: bool
    milliseconds: float | None
    low: float | None
    high: float | None
    samples: int
    gflops: float | None
    fault: str | None


@dataclass(frozen=True)
class Compared:
    """All that solve a problem, the fastest first, and what this machine can do at best."""

    times: list[Timed]
    roofline: Roofline
    intensity: float
    threads: int


def explain(asked: CompareAsked) -> Explained:
    """Say which kernel runs for a problem, and why the others do not.

    Raises:
        ArgumentError: The text is no problem, or one larger than the lab takes.
    """
    problem = _checked(asked.text)
    found = why(asked.text)
    lines = [(line[:10].strip(), line[10:].strip()) for line in str(found).splitlines()]
    work = _operations(problem)
    pool = problem.operation != "conv"
    return Explained(str(problem), lines, found.macs, found.bytes, work / found.bytes, pool)


def compare(asked: CompareAsked) -> Compared:
    """Measure all that solve a problem beside each other, on random data, and the machine.

    Every algorithm's result is compared with the float64 definition first; what is wrong is named
    and not timed. Torch computes the same with its own operators.

    Raises:
        ArgumentError: As `explain`.
    """
    problem = _checked(asked.text)
    limits = roofline(ours.threads())
    given = _operands(problem)
    calls: dict[str, Callable[[], object]] = {"torch": lambda: definition(problem, given)}
    faults: dict[str, str] = {}
    for name, call in _candidates(problem):
        try:
            mine = _operands(problem)
            call(mine)
            fault = wrong(problem, mine, exact=False)
        except Exception as error:  # one candidate must not end the others
            fault = f"{type(error).__name__}: {error}".splitlines()[0]
        if fault is None:
            calls[name] = _bound(call, mine)
        else:
            faults[name] = fault
    with torch.no_grad():
        taken = measure(calls, ROUNDS, SECONDS)
    runs = _runs(problem)
    times = [_timed(name, runs, spread, problem) for name, spread in taken.items()]
    times.sort(key=lambda timed: timed.milliseconds or 0)
    times += [_faulty(name, runs, fault) for name, fault in faults.items()]
    intensity = _operations(problem) / problem.bytes
    return Compared(times, limits, intensity, ours.threads())


def _checked(text: str) -> Problem:
    problem = stated(text)
    for name, found, most in (
        ("multiply-adds", problem.macs, MACS),
        ("bytes", problem.bytes, BYTES),
    ):
        if found > most:
            raise ArgumentError(
                f"{text!r} has {found:,} {name}: the lab measures at most {most:,}; use "
                f"`faltung why --measure` for more"
            )
    return problem


def _operations(problem: Problem) -> int:
    return problem.macs * (2 if problem.operation == "conv" else 1)


def _operands(problem: Problem) -> Operands:
    chance = torch.Generator().manual_seed(0)
    return operands(problem, lambda shape: torch.randn(shape, generator=chance))


def _candidates(problem: Problem) -> list[tuple[str, Callable[[Operands], object]]]:
    """Return all algorithms that take a problem, ready to be called."""
    cpu, threads = ours.target(), ours.threads()
    taking = [a for a in planner.ALGORITHMS if a.refuses(problem, cpu) is None]
    found = []
    for algorithm in taking:
        plan = algorithm.plans(problem, cpu, threads)[0]
        call = ready(plan, cpu, planner.substitute(plan, taking, problem, cpu, threads))
        found.append((algorithm.NAME, _caller(call)))
    return found


def _caller(call: Call) -> Callable[[Operands], object]:
    return lambda given: ours.run(call, *given.addresses)


def _bound(call: Callable[[Operands], object], given: Operands) -> Callable[[], object]:
    return lambda: call(given)


def _runs(problem: Problem) -> str:
    try:
        return planner.explain(problem, ours.target(), ours.threads()).plan.algorithm
    except planner.NoAlgorithmError:
        return "torch"


def _timed(name: str, runs: str, spread: Spread, problem: Problem) -> Timed:
    rate = _operations(problem) / spread.median / 1e9
    low, median, high = (1e3 * s for s in (spread.low, spread.median, spread.high))
    return Timed(name, name == runs, median, low, high, spread.samples, rate, None)


def _faulty(name: str, runs: str, fault: str) -> Timed:
    return Timed(name, name == runs, None, None, None, 0, None, fault)
