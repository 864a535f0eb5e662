"""The check that users run on their machine: it says yes to our kernels, and no to spoiled ones."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from faltung import selfcheck
from faltung.accuracy import PRECISIONS
from faltung.compiler import machine, planner
from faltung.compiler.algorithms import amx_plan, dense_plan, dense_weight_plan
from faltung.compiler.plan import Plan
from faltung.compiler.problem import OPERATIONS, Problem, parse
from faltung.compiler.target import NO_TILES, Target
from faltung.definition import definition, terms, wrong
from faltung.errors import ArgumentError
from faltung.operands import Operands, operands

TEXT = "mb2ic3ih7iw8oc4kh3ph1"


class Spoiled:
    """An algorithm that solves another problem than it is asked for."""

    NAME = "spoiled"

    def __init__(self, spoil: Callable[[Problem], Problem], algorithm: Any) -> None:
        self.spoil, self.algorithm = spoil, algorithm

    def refuses(self, problem: Problem, target: Target) -> str | None:
        """Refuse what the algorithm refuses."""
        sentence: str | None = self.algorithm.refuses(problem, target)
        return sentence

    def plans(self, problem: Problem, target: Target, threads: int) -> list[Plan]:
        """Plan another problem."""
        found: list[Plan] = self.algorithm.plans(self.spoil(problem), target, threads)
        return found


def _fails(problem: Problem) -> Problem:
    raise RuntimeError("a kernel\nof many lines")


SPOILS: dict[str, tuple[Any, Callable[[Problem], Problem]]] = {
    "no bias": (dense_plan, lambda p: replace(p, bias=False)),
    "no flip": (dense_plan, lambda p: replace(p, flip=False)),
    "shifted": (dense_plan, lambda p: replace(p, padding=(2, 0, 1, 1))),
    "one image": (dense_plan, lambda p: replace(p, images=1)),
    "no gradient of the bias": (dense_weight_plan, lambda p: replace(p, bias=False)),
}


def _checked(
    monkeypatch: pytest.MonkeyPatch,
    *algorithms: Any,
    problems: tuple[str, ...],
    seconds: float = 60,
) -> tuple[bool, list[str]]:
    monkeypatch.setattr(planner, "ALGORITHMS", algorithms)
    monkeypatch.setattr(selfcheck, "CONVOLUTIONS", problems)
    lines: list[str] = []
    return selfcheck.check(lines.append, seconds), lines


def test_our_kernels_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [selfcheck.CONVOLUTIONS[i] for i in (0, 12, 23, -5)]
    monkeypatch.setattr(selfcheck, "POOLS", selfcheck.POOLS[:2])
    right, lines = _checked(monkeypatch, *planner.ALGORITHMS, problems=tuple(kept))
    assert right, lines
    for target in selfcheck.levels():
        for algorithm in planner.ALGORITHMS:
            mine = [line for line in lines if line.startswith(f"{algorithm.NAME:<24} ")]
            unit = algorithm.NAME.startswith("amx") and target.tiles in NO_TILES
            assert any(target.level in line for line in mine) != unit, (algorithm, target.level)
    assert all(" ok, " in line for line in lines)


def test_the_matrix_unit_is_checked_in_every_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = replace(machine.host(), level="tiles", lanes=16, registers=32, tiles="interpreted")
    monkeypatch.setattr(selfcheck, "levels", lambda: [unit])
    spoiled = Spoiled(lambda p: replace(p, padding=(2, 0, 1, 1)), amx_plan)
    text = "ic64ih9oc64kh3ph1 channels rows"
    for algorithm in (amx_plan, spoiled):
        right, lines = _checked(monkeypatch, algorithm, problems=(text,))
        assert right == (algorithm is amx_plan)
        assert len(lines) == 2 * len(PRECISIONS)
        for precision in PRECISIONS[1:]:
            assert sum(f" {precision} " in line for line in lines) == 2
        assert all((" ok, " if right else " FAILED ") in line for line in lines)


def test_levels_go_down_from_this_cpu_to_the_least() -> None:
    found = selfcheck.levels()
    assert found[0] == machine.host()
    assert found[-1].level == "vector128"
    assert len({target.level for target in found}) == len(found)


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoiled_algorithm_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm, spoil = SPOILS[name]
    problems = (f"{TEXT} rows bias flip",)
    right, lines = _checked(
        monkeypatch, Spoiled(spoil, algorithm), dense_weight_plan, problems=problems
    )
    assert not right
    spoiled = [line for line in lines if line.startswith("spoiled ")]
    problem = "mb2ic3ih7iw8oc4kh3ph1 f32 rows rows flip bias"
    assert spoiled
    assert all(" FAILED conv " in line and f"{problem}: " in line for line in spoiled)
    assert all(" ok, 1 problems" in line for line in lines if line not in spoiled)


def test_an_algorithm_that_raises_does_not_end_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    right, lines = _checked(
        monkeypatch, Spoiled(_fails, dense_weight_plan), dense_weight_plan, problems=(TEXT,)
    )
    assert not right
    assert len(lines) == (len(PRECISIONS) + 1) * len(selfcheck.levels())
    assert f"FAILED conv weight {TEXT} f32 rows rows: RuntimeError: a kernel" in lines[0]
    assert lines[-1].endswith("ok, 1 problems")


def test_without_time_every_line_still_gets_one_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    two = (TEXT, f"{TEXT} channels")
    right, lines = _checked(monkeypatch, dense_weight_plan, problems=two, seconds=1e-9)
    assert right
    assert all(line.endswith("ok, 1 of 2 problems; then the time was up") for line in lines)
    with pytest.raises(ArgumentError, match="seconds is 0: it must be more than 0"):
        selfcheck.check(seconds=0)


def test_another_precision_is_checked_where_it_is_another_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def coarse(problem: Problem) -> Problem:
        return problem if problem.precision == "highest" else replace(problem, flip=True)

    right, lines = _checked(monkeypatch, Spoiled(coarse, dense_weight_plan), problems=(TEXT,))
    assert not right
    assert [" high " in line for line in lines] == [" FAILED " in line for line in lines]
    assert any("the output is off by " in line for line in lines)
    assert any(line.endswith("ok, 1 problems") for line in lines)


QUESTIONS = [
    *(f"conv {d} {TEXT} bias" for d in ("forward", "input", "weight")),
    f"conv forward {TEXT} bf16 bias",
    *(f"{o} forward ic3ih7iw8kh3sh2ph1 indices" for o in OPERATIONS[1:]),
    *(f"{o} input ic3ih7iw8kh3sh2ph1" for o in OPERATIONS[1:]),
]


def _solved(problem: Problem, *, exact: bool) -> Operands:
    """Return tensors as a right kernel leaves them."""
    random = torch.Generator().manual_seed(0)

    def draw(shape: Any) -> Tensor:
        if exact:
            return torch.randint(-4, 5, shape, generator=random) * 36.0
        return torch.randn(shape, generator=random)

    given = operands(problem, draw)
    double = replace(given, first=given.first.double(), second=given.second.double())
    y, second = definition(problem, replace(double, third=given.third.double()))
    given.output.copy_(y)
    if second.numel():
        given.third.copy_(second)
    return given


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("text", QUESTIONS)
def test_one_wrong_element_is_enough(text: str, exact: bool) -> None:
    problem = parse(text)
    if problem.operation == "avg":
        problem = replace(problem, indices=False)
    given = _solved(problem, exact=exact)
    assert wrong(problem, given, exact=exact) is None
    least = float(given.output.double().abs().max()) * 2.0**-4
    for spoil in (least, float("nan"), float("inf")):
        spoiled = replace(given, output=given.output.clone())
        spoiled.output[-1, -1, -1, -1] += spoil
        said = wrong(problem, spoiled, exact=exact)
        assert said is not None
        assert said.startswith(f"1 of {given.output.numel()} elements of the output are off")
    if problem.direction == "weight" or problem.indices:
        given.third[-1] += 1
        assert "of the second output are off" in str(wrong(problem, given, exact=exact))


def test_an_exact_result_may_not_be_off_by_one_bit() -> None:
    problem = parse(f"conv forward {TEXT}")
    given = _solved(problem, exact=True)
    largest = given.output.abs().argmax()
    flat = given.output.view(-1)
    flat[largest] = torch.nextafter(flat[largest], torch.tensor(0.0))
    assert wrong(problem, given, exact=False) is None
    assert wrong(problem, given, exact=True) is not None


def test_terms_counts_the_products_of_a_sum() -> None:
    counted = [terms(parse(f"{d} mb2g2ic6ih5oc8kh3")) for d in ("forward", "input", "weight")]
    assert counted == [27, 36, 2 * 9]
    assert terms(parse("max ic6ih5kh3")) == 9
