"""The benchmark's results: ratios, means, errors, lines and CSV."""

import csv
import math

import pytest
import torch

from faltung.bench.conditions import Peak
from faltung.bench.layer import parse
from faltung.bench.problems import Problem
from faltung.bench.results import RATIOS, Measured, Row, summaries
from faltung.bench.table import cells, csv_text, headings, summary_lines
from faltung.bench.task import relative_error
from faltung.bench.timing import Spread


def row(
    name: str, direction: str, error: float = 1e-7, group: str = "dense", **seconds: float
) -> Row:
    """Return a row with times by candidate; `_` stands for the space in a name."""
    layer = parse("max ic4ih6kh2sh2" if group == "pools" else "ic4ih6oc4kh3ph1")
    found = {
        n.replace("_", " ", 1): Measured(Spread(t / 2, t, t * 2, 3), error if "ours" in n else 0.0)
        for n, t in seconds.items()
    }
    return Row(Problem(group, name, layer), direction, found, {})


FULL = row(
    "first",
    "forward",
    ours_nchw=4.0,
    ours_channels_last=2.0,
    torch_nchw=8.0,
    torch_channels_last=6.0,
    jax=1.0,
)


def test_ratios_compare_the_fastest_of_each_side() -> None:
    assert {name: FULL.ratio(name) for name in RATIOS} == pytest.approx(
        {
            "ours/torch": 3.0,
            "ours/best": 0.5,
            "nchw/torch": 1.5,
            "channels_last/torch": 3.0,
            "nchw/nchw": 2.0,
            "channels_last/channels_last": 3.0,
        }
    )
    assert FULL.gflops("ours nchw") == 10368 / 4e9
    assert FULL.of_peak(10368 / 1e9) == pytest.approx(0.5)
    pool = row("pool", "forward", group="pools", ours_nchw=1.0, jax=2.0)
    assert pool.of_peak(1.0) is None
    assert pool.ratio("ours/torch") is None
    assert pool.ratio("ours/best") == 2.0


@pytest.mark.parametrize("error", [0.5, math.nan, math.inf])
def test_a_wrong_result_has_no_speed(error: float) -> None:
    wrong = row("a", "input", error, ours_nchw=1.0, torch_nchw=2.0)
    assert wrong.ratio("ours/torch") is None
    assert not wrong.healthy
    assert wrong.complaints() == [f"a input: ours nchw is WRONG, its relative error is {error:.1e}"]
    assert FULL.healthy
    assert FULL.complaints() == []
    failed = Row(FULL.problem, "input", {}, {"jax": "ValueError: no", "ours nchw": "no"})
    assert failed.complaints() == [
        "first input: jax failed: ValueError: no",
        "first input: ours nchw failed: no",
    ]
    assert not failed.healthy
    assert Row(FULL.problem, "input", {}, {"jax": "no"}).healthy


def test_summaries_are_geometric_means_and_the_worst() -> None:
    rows = [
        row("a", "forward", ours_nchw=1.0, torch_nchw=2.0),
        row("b", "forward", ours_nchw=1.0, torch_nchw=8.0),
        row("b", "weight", ours_nchw=2.0, torch_nchw=1.0),
        row("c", "forward", group="pools", ours_nchw=1.0, torch_nchw=9.0),
        row("d", "forward", group="pools", error=1.0, ours_nchw=1.0, torch_nchw=90.0),
    ]
    found = {(s.group, s.direction): s for s in summaries(rows) if s.ratio == "ours/torch"}
    assert set(found) == {
        ("dense", "forward"),
        ("dense", "weight"),
        ("dense", "all"),
        ("pools", "forward"),
        ("pools", "all"),
    }
    forward, everything = found["dense", "forward"], found["dense", "all"]
    assert [forward.mean, everything.mean] == pytest.approx([4, 2])
    assert (forward.worst, forward.at) == (2.0, "a forward")
    assert everything.count == 3
    assert (everything.worst, everything.at) == (0.5, "b weight")
    assert found["pools", "all"].count == 1
    line = " ".join(summary_lines(summaries(rows))[1].split())
    four = "4.00 (2.00)"
    assert line == f"dense forward {four} {four} {four} - {four} - a forward, n 2"


def test_a_line_shows_speeds_errors_and_ratios() -> None:
    names = [*FULL.measured, "openvino"]
    peak = Peak(10368 / 1e9, "sgemm")
    shown = dict(zip(headings(names, peak), cells(FULL, names, peak), strict=True))
    assert shown["problem"] == "first"
    assert shown["ours cl"] == "0.000"
    assert shown["openvino"] == "-"
    assert shown["of sgemm"] == "50%"
    assert shown["spread"] == "150%"
    assert (shown["error"], shown["torch error"]) == ("1.0e-07", "0.0e+00")
    assert (shown["ours/torch"], shown["ours/best"]) == ("3.00", "0.50")
    fast = row("f", "forward", ours_nchw=8e-9, torch_nchw=4e-7, jax=4e-6)
    line = cells(fast, list(fast.measured), peak)
    assert line[2:5] == ["1296", "25.9", "2.59"]


def test_csv_has_its_conditions_on_top() -> None:
    names = ["ours nchw", "torch nchw", "jax"]
    text = csv_text({"machine": "a, b", "threads": "2"}, [FULL], names, Peak(1e-5, "fma peak"))
    assert text.startswith("# machine: a, b\n# threads: 2\ngroup,name,problem,direction,flop,")
    (line,) = csv.DictReader(part for part in text.splitlines() if not part.startswith("#"))
    assert (line["group"], line["name"], line["problem"]) == ("dense", "first", "ic4ih6oc4kh3ph1")
    assert (line["direction"], line["flop"]) == ("forward", "10368")
    speeds = [float(line[f"ours nchw{which}"]) for which in ("", " q1", " q3")]
    assert speeds == pytest.approx([2.592e-6, 1.296e-6, 5.184e-6])
    assert (line["ours nchw samples"], line["ours nchw error"]) == ("3", "1e-07")
    assert float(line["of peak"]) == pytest.approx(0.5184)
    assert {name: line[name] for name in ("ours/torch", "ours/best", "nchw/nchw")} == {
        "ours/torch": "3",
        "ours/best": "0.5",
        "nchw/nchw": "2",
    }
    assert line["remarks"] == ""


def test_the_error_is_relative_and_the_largest_of_all_parts() -> None:
    exact = (torch.tensor([3.0, 4.0], dtype=torch.float64), torch.ones(4, dtype=torch.float64))
    assert relative_error(exact, exact) == 0
    spoiled = (exact[0].float(), torch.tensor([1.0, 1.0, 1.0, 2.0]))
    assert relative_error(spoiled, exact) == 0.5
    assert relative_error((torch.tensor([3.0, 5.0]), torch.ones(4)), exact) == pytest.approx(0.2)
    assert relative_error((exact[0], torch.ones(3)), exact) == math.inf
    assert math.isnan(relative_error((torch.tensor([3.0, math.nan]), torch.ones(4)), exact))
