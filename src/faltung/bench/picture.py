"""A picture of the results: how many times faster we are, problem by problem."""

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faltung.bench.layer import DIRECTIONS
from faltung.bench.results import Row
from faltung.errors import MissingExtraError

INCH_A_BAR = 0.22
TICKS = 9


def require_matplotlib() -> Any:
    """Return matplotlib's module of figures.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module("matplotlib.figure")
    except ImportError:
        raise MissingExtraError(
            "--picture needs the package matplotlib, which is not installed: "
            'pip install "faltung[bench]"'
        ) from None


def save_picture(file: Path, conditions: Mapping[str, str], rows: Iterable[Row]) -> None:
    """Draw how many times faster we are: bars against torch, diamonds against the best peer.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    found = [row for row in rows if row.ratio("ours/best") is not None]
    directions = [d for d in DIRECTIONS if any(row.direction == d for row in found)]
    tallest = max((sum(r.direction == d for r in found) for d in directions), default=1)
    size = (6.5 * max(len(directions), 1), INCH_A_BAR * tallest + 2.0)
    figure = require_matplotlib().Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{conditions['machine']}, {conditions['threads']} threads, float32")
    for place, direction in enumerate(directions, start=1):
        axes = figure.add_subplot(1, len(directions), place)
        _draw(axes, [row for row in found if row.direction == direction])
        axes.set_title(direction)
    handles, labels = figure.axes[0].get_legend_handles_labels() if figure.axes else ([], [])
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.savefig(file)


def _draw(axes: Any, rows: Sequence[Row]) -> None:
    places = range(len(rows))
    ratios, others = (
        [row.ratio(name) or math.nan for row in rows] for name in ("ours/torch", "ours/best")
    )
    colours = ["tab:green" if ratio >= 1 else "tab:red" for ratio in ratios]
    axes.barh(places, [r - 1 for r in ratios], left=1, color=colours, label="torch, better format")
    axes.plot(others, places, "D", color="black", markersize=4, label="best peer")
    known = [ratio for ratio in (*ratios, *others) if math.isfinite(ratio)]
    axes.set_xlim(min(*known, 0.5) / 1.1, max(*known, 2.0) * 1.1)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    ticks = importlib.import_module("matplotlib.ticker")
    axes.xaxis.set_major_locator(ticks.LogLocator(2, numticks=TICKS))
    axes.xaxis.set_major_formatter("{x:.3g}")
    axes.set_yticks(places, [row.problem.name for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("times faster than")
