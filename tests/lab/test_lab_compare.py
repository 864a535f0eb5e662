"""One problem: the kernel that runs, times that are measured, limits that are kept."""

import pytest
from httpx import Client

from faltung import why
from faltung.lab import compare
from faltung.lab.compare import CompareAsked, explain
from faltung.lab.roofline import Roofline, roofline

SMALL = "ic8ih12oc8kh3ph1"


def test_it_explains_as_python_does() -> None:
    told = explain(CompareAsked(text=SMALL))
    expected = why(SMALL)
    assert dict(told.lines)["algorithm"] in str(expected)
    assert [name for name, _ in told.lines] == [
        line[:10].strip() for line in str(expected).splitlines()
    ]
    assert (told.macs, told.bytes, told.pool) == (expected.macs, expected.bytes, False)
    assert told.intensity == pytest.approx(2 * 8 * 8 * 9 * 144 / expected.bytes)


@pytest.mark.parametrize("text", [SMALL, "conv weight ic8ih12oc8kh3ph1", "max ic8ih12kh2sh2"])
def test_it_measures_all_that_take_the_problem(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Roofline(100.0, 10.0, 10.0, "a CPU")
    monkeypatch.setattr(compare, "roofline", lambda _: limits)
    monkeypatch.setattr(compare, "SECONDS", 0.1)
    told = compare.compare(CompareAsked(text=text))
    names = [one.name for one in told.times]
    assert "torch" in names
    assert len(names) >= 2
    assert [one.runs for one in told.times].count(True) == 1
    assert all(one.fault is None for one in told.times)
    times = [one.milliseconds for one in told.times if one.milliseconds]
    assert times == sorted(times)
    operations = told.intensity * explain(CompareAsked(text=text)).bytes
    for one in told.times:
        assert one.gflops is not None
        assert one.milliseconds is not None
        assert one.gflops * one.milliseconds == pytest.approx(operations / 1e6)
        assert one.samples >= 3
    assert told.roofline is limits


def test_what_is_wrong_is_named_and_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "roofline", lambda _: Roofline(1.0, 1.0, 1.0, ""))
    monkeypatch.setattr(compare, "SECONDS", 0.1)
    monkeypatch.setattr(compare, "wrong", lambda *_, **__: "all elements are off")
    told = compare.compare(CompareAsked(text=SMALL))
    assert told.times[0].name == "torch"
    assert len(told.times) >= 2
    for one in told.times[1:]:
        assert (one.milliseconds, one.fault) == (None, "all elements are off")


def test_the_limits_of_this_machine() -> None:
    limits = roofline(1)
    assert 1 < limits.gflops < 10_000
    assert 0.1 < limits.bandwidth < 2_000
    assert limits.ridge == pytest.approx(limits.gflops / limits.bandwidth)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "'nonsense' is not a problem"),
        ("ic64ih56oc64kh0", "'ic64ih56oc64kh0' has kh 0: it must be at least 1"),
        ("ic512ih224oc512kh3ph1", "multiply-adds: the lab measures at most 2,000,000,000"),
        ("max ic64ih1100kh1", "bytes: the lab measures at most 268,435,456; use"),
        (f"ic{'9' * 80}ih56oc64kh3", "the lab measures at most"),
    ],
)
@pytest.mark.parametrize("path", ["explain", "measure"])
def test_problems_that_are_none_or_too_large(
    client: Client, path: str, text: str, sentence: str
) -> None:
    answer = client.post(f"/api/compare/{path}", json={"text": text})
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]["message"]


def test_a_text_without_end(client: Client) -> None:
    answer = client.post("/api/compare/explain", json={"text": "x" * 300})
    assert answer.status_code == 422
    assert "string should have at most 200 characters" in answer.json()["error"]["message"]
