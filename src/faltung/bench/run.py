"""The benchmark as one function: chooses, measures, shows, writes."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import torch

from faltung.bench.conditions import conditions, measured_peak
from faltung.bench.display import Display
from faltung.bench.layer import DIRECTIONS
from faltung.bench.libraries import ADAPTERS as LIBRARIES
from faltung.bench.options import DTYPES, check_file, check_names, check_numbers, on_threads
from faltung.bench.peers import ADAPTERS as ON_TENSORS
from faltung.bench.peers import reference
from faltung.bench.picture import require_matplotlib, save_picture
from faltung.bench.problems import GROUPS, LIST, Problem, read, select
from faltung.bench.results import Measured, Row, summaries
from faltung.bench.table import cells, csv_text, headings, summary_lines
from faltung.bench.task import (
    Adapter,
    Parts,
    Prepared,
    Task,
    failure,
    operands,
    relative_error,
)
from faltung.bench.timing import Spread, measure
from faltung.bench.xla import Jax
from faltung.errors import ArgumentError

ROUNDS = 15
SECONDS = 3.0

ADAPTERS: tuple[Adapter, ...] = (*ON_TENSORS, *LIBRARIES, Jax())
PEERS = tuple(dict.fromkeys(a.family for a in ADAPTERS if a.family != "ours"))
USUAL = tuple(family for family in PEERS if family != "compile")  # which takes minutes


def main(
    *,
    match: str = "",
    groups: Sequence[str] = GROUPS,
    directions: Sequence[str] = DIRECTIONS,
    peers: Sequence[str] = USUAL,
    threads: int | None = None,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    dtype: str = "float32",
    csv: Path | None = None,
    picture: Path | None = None,
    problems: Path = LIST,
    peak: Callable[[], float] | None = None,
    out: TextIO | None = None,
) -> int:
    """Time this library and its peers on a list of layers, and show what came of it.

    Args:
        match: Regular expression; only lines of the list in which it finds something are measured.
        groups: Groups of problems, of "dense", "special" and "pools".
        directions: Of "forward", "input" and "weight" (the gradients).
        peers: Families of candidates beside ours, of `PEERS`.
        threads: Threads of everybody; None leaves torch's number.
        rounds: Samples of each candidate.
        seconds: No round of a problem and direction starts later.
        dtype: Type of all elements, of `DTYPES`.
        csv: File for all results.
        picture: File for a picture; its suffix says the format.
        problems: The list.
        peak: Measures the chip's fused multiply-adds in GFLOP/s; None takes torch's product of
            matrices instead, and says so.
        out: Where to write; None is standard output.

    Returns:
        0; 1 where a kernel of ours failed or gave a wrong result.

    Raises:
        ArgumentError: An argument breaks its rule, or nothing is left to be measured.
        DataError: The list cannot be read.
        MissingExtraError: A picture is asked for and matplotlib is not installed.
    """
    for name, given, known in (
        ("--groups", groups, GROUPS),
        ("--directions", directions, DIRECTIONS),
        ("--peers", peers, PEERS),
        ("--dtype", [dtype], tuple(DTYPES)),
    ):
        check_names(name, given, known)
    check_numbers(threads, rounds, seconds)
    for name, file in (("--csv", csv), ("--picture", picture)):
        check_file(name, file)
    if picture is not None:
        require_matplotlib()
    chosen = select(read(problems), match, groups)
    work = [
        (p, d) for p in chosen for d in DIRECTIONS if d in directions and d in p.layer.directions
    ]
    if not work:
        raise ArgumentError(
            f"--directions is {', '.join(directions)}: pools have no weight gradient"
        )
    with on_threads(threads), torch.no_grad():
        return _run(work, peers, rounds, seconds, dtype, csv, picture, peak, out or sys.stdout)


def _run(
    work: Sequence[tuple[Problem, str]],
    families: Sequence[str],
    rounds: int,
    seconds: float,
    dtype: str,
    csv: Path | None,
    picture: Path | None,
    peak: Callable[[], float] | None,
    out: TextIO,
) -> int:
    adapters = [a for a in ADAPTERS if a.family == "ours" or a.family in families]
    reasons = {a.family: reason for a in adapters if (reason := a.available())}
    adapters = [a for a in adapters if a.family not in reasons]
    names = [a.name for a in adapters]
    top = measured_peak(peak)
    facts = conditions(top, rounds, seconds, [a.family for a in adapters], reasons, dtype)
    longest = max(len(problem.name) for problem, _ in work)
    display: Display[Row] = Display(
        out, headings(names, top), lambda row: cells(row, names, top), longest
    )
    display.conditions(facts)
    rows: list[Row] = []
    try:
        for done, (problem, direction) in enumerate(work, start=1):
            display.starts(f"{done}/{len(work)}  {problem} {direction}")
            rows.append(
                measured(problem, direction, adapters, rounds, seconds, dtype=DTYPES[dtype])
            )
            display.row(rows[-1])
    finally:  # what was measured is kept when somebody has seen enough
        display.close()
        if csv is not None and rows:
            csv.write_text(csv_text(facts, rows, names, top), encoding="utf-8")
        if picture is not None and rows:
            save_picture(picture, facts, rows)
        for line in summary_lines(summaries(rows)):
            display.say(line)
    return 0 if all(row.healthy for row in rows) else 1


def measured(
    problem: Problem,
    direction: str,
    adapters: Sequence[Adapter],
    rounds: int,
    seconds: float,
    timer: Callable[..., dict[str, Spread]] = measure,
    dtype: torch.dtype = torch.float32,
) -> Row:
    """Measure one problem in one direction: first whether each is right, then how fast.

    Args:
        problem: The problem.
        direction: "forward", "input" or "weight".
        adapters: The candidates.
        rounds: Samples of each.
        seconds: No round starts later.
        timer: Times calls, as `timing.measure` does.
        dtype: Type of all elements.
    """
    task = Task(problem.layer, direction, operands(problem.layer, dtype))
    exact = reference(task)
    ready: dict[str, Prepared] = {}
    errors: dict[str, float] = {}
    failed: dict[str, str] = {}
    for adapter in adapters:
        outcome = _attempt(adapter, task, exact)
        if isinstance(outcome, str):
            failed[adapter.name] = outcome
        elif outcome is not None:
            ready[adapter.name], errors[adapter.name] = outcome
    times = timer({name: prepared.call for name, prepared in ready.items()}, rounds, seconds)
    found = {name: Measured(times[name], errors[name]) for name in ready}
    return Row(problem, direction, found, failed)


def _attempt(adapter: Adapter, task: Task, exact: Parts) -> tuple[Prepared, float] | str | None:
    """Return a candidate with its error, what went wrong, or None where it has no such operation.

    Whatever a candidate raises must not end the run of the others.
    """
    try:
        prepared = adapter.prepare(task)
        if prepared is None:
            return None
        return prepared, relative_error(prepared.result(), exact)
    except Exception as error:
        return failure(error)
