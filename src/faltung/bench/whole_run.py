"""The benchmark of whole networks as one function: builds, measures, shows, writes."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import torch

from faltung.bench.conditions import conditions, measured_peak
from faltung.bench.display import Display, empty, number, short, written
from faltung.bench.networks import NETWORKS, Network
from faltung.bench.options import check_file, check_numbers, on_threads
from faltung.bench.results import RATIOS, Measured, is_ours, is_torch
from faltung.bench.whole import NAMES, Whole, measured, ready
from faltung.errors import ArgumentError
from faltung.switch import enabled

BATCHES = (1, 16)
ROUNDS = 15
SECONDS = 5.0
TRAINING = "training (forward, gradients of all parameters), no dropout"

COMPARED = tuple(name for name in RATIOS if name != "ours/best")  # torch is the only peer
HEADINGS = (
    *("network", "batch", *(f"{short(name)} ms" for name in NAMES)),
    *("spread", "error", "torch error", "ours/torch"),
)


def cells(row: Whole) -> list[str]:
    """Return a result as text: milliseconds of each, quartiles, errors, ratio."""
    times = [
        number(1e3 * row.measured[name].spread.median if name in row.measured else None, ".1f")
        for name in NAMES
    ]
    errors = [number(row.error(which), ".1e") for which in (is_ours, is_torch)]
    ratio = number(row.ratio("ours/torch"), ".2f")
    return [row.name, str(row.batch), *times, number(row.widest, ".0%"), *errors, ratio]


def csv_text(facts: Mapping[str, str], rows: Iterable[Whole]) -> str:
    """Return all results as CSV, below the conditions as lines that start with #.

    Times are milliseconds at the median and at the quartiles.
    """
    figures = (" ms", " ms q1", " ms q3", " samples", " error")
    columns = [name + figure for name in NAMES for figure in figures]
    lines = []
    for row in rows:
        values: list[str] = []
        for name in NAMES:
            values += _figures(row.measured.get(name))
        ratios = [empty(row.ratio(name), ".4g") for name in COMPARED]
        lines.append([row.name, str(row.batch), *values, *ratios, "; ".join(row.complaints())])
    return written(facts, ["network", "batch", *columns, *COMPARED, "remarks"], lines)


def _figures(found: Measured | None) -> list[str]:
    if found is None:
        return [""] * 5
    spread = found.spread
    times = [format(1e3 * t, ".4g") for t in (spread.median, spread.low, spread.high)]
    return [*times, str(spread.samples), format(found.error, ".3g")]


def main(
    *,
    match: str = "",
    batches: Sequence[int] = BATCHES,
    training: bool = False,
    threads: int | None = None,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    csv: Path | None = None,
    networks: Mapping[str, Network] = NETWORKS,
    peak: Callable[[], float] | None = None,
    out: TextIO | None = None,
) -> int:
    """Time whole networks with our kernels and with torch's, and show what came of it.

    Args:
        match: Regular expression; only networks in whose name it finds something are measured.
        batches: Images of a call, one number after the other.
        training: Whether steps of training are timed, not the forward.
        threads: Threads of everybody; None leaves torch's number.
        rounds: Samples of each candidate.
        seconds: No round of a network and batch starts later, but the first few do.
        csv: File for all results.
        networks: The networks, by name.
        peak: Measures the chip's peak, as for `faltung.bench.run.main`.
        out: Where to write; None is standard output.

    Returns:
        0; 1 where a kernel of ours failed or gave a wrong result.

    Raises:
        ArgumentError: An argument breaks its rule, or nothing is left to be measured.
        MissingExtraError: This torch is too old for the switch.
    """
    check_numbers(threads, rounds, seconds)
    check_file("--csv", csv)
    chosen = _chosen(networks, match)
    with enabled():
        pass  # or it says now why it cannot
    with on_threads(threads), torch.no_grad():
        facts = _conditions(rounds, seconds, peak, training)
        display = Display(out or sys.stdout, HEADINGS, cells, max(map(len, chosen)))
        display.conditions(facts)
        rows: list[Whole] = []
        try:
            for name, network in chosen.items():
                display.starts(f"{name}: float64")
                made = ready(name, network, max(batches), training=training)
                for batch in batches:
                    display.starts(f"{name}, batch {batch}")
                    rows.append(measured(made, batch, rounds, seconds))
                    display.row(rows[-1])
                del made  # before the next is built
        finally:  # what was measured is kept when somebody has seen enough
            display.close()
            if csv is not None and rows:
                csv.write_text(csv_text(facts, rows), encoding="utf-8")
    return 0 if all(row.healthy for row in rows) else 1


def _chosen(networks: Mapping[str, Network], match: str) -> dict[str, Network]:
    try:
        pattern = re.compile(match, re.IGNORECASE)
    except re.error as error:
        raise ArgumentError(f"{match!r} is no regular expression: {error}") from None
    chosen = {name: network for name, network in networks.items() if pattern.search(name)}
    if not chosen:
        known = ", ".join(networks)
        raise ArgumentError(f"no network matches {match!r}: use a wider filter; there are {known}")
    return chosen


def _conditions(
    rounds: int, seconds: float, peak: Callable[[], float] | None, training: bool
) -> dict[str, str]:
    facts = conditions(measured_peak(peak), rounds, seconds, ["ours", "torch"], {})
    del facts["flop"]
    what = "gradients of parameters, in eval mode, by" if training else "what is made of"
    facts["error"] = f"||y - y64|| / ||y64|| of {what} the first image, y64 torch in float64"
    done = TRAINING if training else "eval, no_grad"
    facts["networks"] = f"random weights, {done}, eager; ours under faltung.enabled()"
    return facts
