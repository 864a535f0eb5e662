"""What is shown and written of layers: speeds, errors, ratios and their means."""

from collections.abc import Iterable, Mapping, Sequence

from faltung.bench.conditions import Peak
from faltung.bench.display import empty, number, short, written
from faltung.bench.results import RATIOS, Row, Summary, is_ours, is_torch

SHOWN = tuple(RATIOS)[:4]  # ratios of a line; the summary and the CSV file have all


def _speed(gflops: float) -> str:
    digits = next((d for d, least in ((0, 100.0), (1, 10.0), (2, 1.0)) if gflops >= least), 3)
    return f"{gflops:.{digits}f}"


def headings(names: Sequence[str], peak: Peak) -> list[str]:
    """Return the headings of the columns of `cells`."""
    of = f"of {peak.name.split()[0]}"
    errors = ["error", "torch error"]
    speeds = [short(name) for name in names]
    return ["problem", "direction", *speeds, of, "spread", *errors, *map(short, SHOWN)]


def cells(row: Row, names: Sequence[str], peak: Peak) -> list[str]:
    """Return a result as text: GFLOP/s of each, part of the peak, quartiles, errors, ratios.

    "spread" is the widest distance between the quartiles of a candidate, ours or torch's, in
    parts of its median: where it is large, the line says little.
    """
    speeds = [_speed(row.gflops(name)) if name in row.measured else "-" for name in names]
    errors = [number(row.error(which), ".1e") for which in (is_ours, is_torch)]
    ratios = [number(row.ratio(name), ".2f") for name in SHOWN]
    of_peak = number(row.of_peak(peak.gflops), ".0%")
    quartiles = number(row.widest, ".0%")
    return [row.problem.name, row.direction, *speeds, of_peak, quartiles, *errors, *ratios]


def summary_lines(summaries: Iterable[Summary]) -> list[str]:
    """Return a line for each group and direction: geometric mean and worst of every ratio."""
    found: dict[tuple[str, str], dict[str, Summary]] = {}
    for summary in summaries:
        found.setdefault((summary.group, summary.direction), {})[summary.ratio] = summary
    heads = "".join(f"{short(name):>16}" for name in RATIOS)
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
    figures = ("", " q1", " q3", " samples", " error")
    columns = [name + figure for name in names for figure in figures]
    fixed = ["group", "name", "problem", "direction", "flop"]
    lines = []
    for row in rows:
        problem = row.problem
        values: list[str] = []
        for name in names:
            values += _figures(row, name)
        ratios = [empty(row.ratio(name), ".4g") for name in RATIOS]
        lines.append(
            [
                *(problem.group, problem.name, str(problem.layer), row.direction),
                str(problem.layer.flops),
                *values,
                empty(row.of_peak(peak.gflops), ".4g"),
                *ratios,
                "; ".join(row.complaints()),
            ]
        )
    return written(conditions, [*fixed, *columns, "of peak", *RATIOS, "remarks"], lines)


def _figures(row: Row, name: str) -> list[str]:
    if name not in row.measured:
        return [""] * 5
    found, flop = row.measured[name], row.problem.layer.flops / 1e9
    times = (found.spread.median, found.spread.high, found.spread.low)
    speeds = [format(flop / seconds, ".4g") for seconds in times]
    return [*speeds, str(found.spread.samples), format(found.error, ".3g")]
