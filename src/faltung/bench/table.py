"""What the benchmark shows: lines, tables on a terminal, a CSV file."""

import csv
import importlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from faltung.bench.conditions import Peak
from faltung.bench.results import RATIOS, Row, Summary, is_ours, is_torch

SHORT = {"channels_last": "cl", "onnxruntime": "onnxrt"}
CLEAR_LINE = "\r\x1b[2K"
SHOWN = tuple(RATIOS)[:4]  # ratios of a line; the summary and the CSV file have all


def _short(name: str) -> str:
    for long, brief in SHORT.items():
        name = name.replace(long, brief)
    return name


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _speed(gflops: float) -> str:
    digits = next((d for d, least in ((0, 100.0), (1, 10.0), (2, 1.0)) if gflops >= least), 3)
    return f"{gflops:.{digits}f}"


def headings(names: Sequence[str], peak: Peak) -> list[str]:
    """Return the headings of the columns of `cells`."""
    of = f"of {peak.name.split()[0]}"
    errors = ["error", "torch error"]
    speeds = [_short(name) for name in names]
    return ["problem", "direction", *speeds, of, "spread", *errors, *map(_short, SHOWN)]


def cells(row: Row, names: Sequence[str], peak: Peak) -> list[str]:
    """Return a result as text: GFLOP/s of each, part of the peak, quartiles, errors, ratios.

    "spread" is the widest distance between the quartiles of a candidate, ours or torch's, in
    parts of its median: where it is large, the line says little.
    """
    speeds = [_speed(row.gflops(name)) if name in row.measured else "-" for name in names]
    judged = (found for name, found in row.measured.items() if is_ours(name) or is_torch(name))
    widest = max((found.spread.width for found in judged), default=None)
    errors = [_number(row.error(which), ".1e") for which in (is_ours, is_torch)]
    ratios = [_number(row.ratio(name), ".2f") for name in SHOWN]
    of_peak = _number(row.of_peak(peak.gflops), ".0%")
    quartiles = _number(widest, ".0%")
    return [row.problem.name, row.direction, *speeds, of_peak, quartiles, *errors, *ratios]


class Display:
    """Shows results: a line at once where the output is a file, tables by group on a terminal.

    Args:
        out: Where to write.
        names: Candidates, in the order of their columns.
        peak: The chip's peak.
        width: Characters of the longest name of a problem.
    """

    def __init__(self, out: TextIO, names: Sequence[str], peak: Peak, width: int) -> None:
        self._out, self._names, self._peak = out, names, peak
        heads = headings(names, peak)
        lengths = [max(len(head), 7) for head in heads]
        self._widths = [max(width, lengths[0]), len("direction"), *lengths[2:]]
        self._console: Any = _console(out) if out.isatty() else None
        self._waiting: list[Row] = []
        self._headed = False

    def say(self, line: str) -> None:
        """Write a line of words."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def starts(self, what: str) -> None:
        """Show on a terminal what is being measured, without a thread that would disturb it."""
        if self._console is not None:
            self._out.write(CLEAR_LINE + what)
            self._out.flush()

    def row(self, row: Row) -> None:
        """Show a result."""
        if self._console is not None:
            if self._waiting and self._waiting[-1].problem.group != row.problem.group:
                self._flush()
            self._waiting.append(row)
            return
        if not self._headed:
            self.say(self._line(headings(self._names, self._peak)))
            self._headed = True
        self.say(self._line(cells(row, self._names, self._peak)))
        for complaint in row.complaints():
            self.say(f"  {complaint}")

    def close(self) -> None:
        """Show what is still waiting."""
        if self._waiting:
            self._flush()

    def _line(self, texts: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(texts, self._widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    def _flush(self) -> None:
        module = importlib.import_module("rich.table")
        table = module.Table(title=self._waiting[0].problem.group, box=None, padding=(0, 1, 0, 0))
        for column, heading in enumerate(headings(self._names, self._peak)):
            side = "left" if column < 2 else "right"
            table.add_column(re.sub("( |/)", r"\1\n", heading), justify=side, overflow="fold")
        for row in self._waiting:
            style = None if row.healthy else "red"
            table.add_row(*cells(row, self._names, self._peak), style=style)
        self._out.write(CLEAR_LINE)
        self._console.print(table)
        for row in self._waiting:
            for complaint in row.complaints():
                self._console.print(complaint, markup=False)
        self._waiting = []


def _console(out: TextIO) -> Any:
    """Return rich's console, or None where rich is not installed."""
    try:
        return importlib.import_module("rich.console").Console(file=out, highlight=False)
    except ImportError:
        return None


def summary_lines(summaries: Iterable[Summary]) -> list[str]:
    """Return a line for each group and direction: geometric mean and worst of every ratio."""
    found: dict[tuple[str, str], dict[str, Summary]] = {}
    for summary in summaries:
        found.setdefault((summary.group, summary.direction), {})[summary.ratio] = summary
    heads = "".join(f"{_short(name):>16}" for name in RATIOS)
    lines = [f"{'mean (worst)':18}{heads}   slowest against torch"]
    for (group, direction), by_ratio in found.items():
        values = [
            f"{s.mean:.2f} ({s.worst:.2f})" if (s := by_ratio.get(name)) else "-" for name in RATIOS
        ]
        first = by_ratio.get("ours/torch")
        at = f"{first.at}, n {first.count}" if first else "-"
        lines.append(f"{group:8}  {direction:8}{''.join(f'{v:>16}' for v in values)}   {at}")
    return lines


def csv_text(
    conditions: Mapping[str, str], rows: Iterable[Row], names: Sequence[str], peak: Peak
) -> str:
    """Return all results as CSV, below the conditions as lines that start with #.

    Speeds are GFLOP/s at the median and at the quartiles of the time.
    """
    text = io.StringIO()
    for name, value in conditions.items():
        text.write(f"# {name}: {value}\n")
    writer = csv.writer(text, lineterminator="\n")
    figures = ("", " q1", " q3", " samples", " error")
    columns = [name + figure for name in names for figure in figures]
    fixed = ["group", "name", "problem", "direction", "flop"]
    writer.writerow([*fixed, *columns, "of peak", *RATIOS, "remarks"])
    for row in rows:
        problem = row.problem
        values: list[str] = []
        for name in names:
            values += _figures(row, name)
        ratios = [_empty(row.ratio(name), ".4g") for name in RATIOS]
        writer.writerow(
            [
                *(problem.group, problem.name, str(problem.layer), row.direction),
                problem.layer.flops,
                *values,
                _empty(row.of_peak(peak.gflops), ".4g"),
                *ratios,
                "; ".join(row.complaints()),
            ]
        )
    return text.getvalue()


def _figures(row: Row, name: str) -> list[str]:
    if name not in row.measured:
        return [""] * 5
    found, flop = row.measured[name], row.problem.layer.flops / 1e9
    times = (found.spread.median, found.spread.high, found.spread.low)
    speeds = [format(flop / seconds, ".4g") for seconds in times]
    return [*speeds, str(found.spread.samples), format(found.error, ".3g")]


def _empty(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
