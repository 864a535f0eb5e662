"""What the tests of dense kernels can see: mistakes made on purpose are noticed."""

from dataclasses import replace
from typing import Any

import pytest
import torch

import agreeing
from agreeing import FORMS, assert_agrees, data
from convolving import HOST, Conv, Way, asked, called, defined, planned, run, whole
from faltung.compiler import kernel, machine
from faltung.compiler.algorithms import dense, output, panel, tile
from faltung.compiler.call import ready
from faltung.compiler.emit import Code
from faltung.compiler.plan import Plan, Spec
from faltung.compiler.problem import DIRECTIONS, Problem
from faltung.compiler.target import Target
from guarded import blank
from layouts import LAYOUTS

AVX512 = Target(
    "avx512", "skylake-avx512", "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx2,+fma", 16, 32
)


def spoiled(plan: Plan, name: str, more: int) -> Plan:
    """Return a plan one of whose numbers is another."""
    numbers = [*plan.steps[0].numbers]
    numbers[dense.SIZES.index(name)] += more
    return replace(plan, steps=(replace(plan.steps[0], numbers=tuple(numbers)),))


@pytest.mark.parametrize("name", ["", "top", "left", "tap_column", "stride_row", "images", "lines"])
def test_comparison_notices_a_wrong_number(name: str) -> None:
    conv, way = Conv(2, 1, 3, 5, (9, 8), (3, 3), (2, 2), (1, 1, 1, 1), (2, 2)), Way(HOST)
    x, w = whole(1, conv.x), whole(2, conv.w)
    y = blank(torch.empty(conv.y))
    plan = planned(asked("forward", conv, (x, w, y), False, way), way)
    call = ready(spoiled(plan, name, -1) if name else plan, HOST)
    room = torch.zeros(call.workspace // 4 + 16)
    at = -(-room.data_ptr() // 64) * 64
    call(x.data_ptr(), w.data_ptr(), 0, y.data_ptr(), at)
    assert torch.equal(y.double(), defined("forward", conv, x, w)) == (not name)


def _one_less(emit: Any) -> Any:
    """Return `tile.accumulate` without the last product."""
    return lambda code, held, elements, weights, run: emit(code, held, elements, weights, run - 1)


def _nothing(emit: Any) -> Any:
    """Return what emits no instruction."""
    return lambda *_: None


def _unchanged(emit: Any) -> Any:
    """Return `output.activated` without activation."""
    return lambda code, value, *_: value


def _product(emit: Any) -> Any:
    """Return `Code.fma` without the sum so far."""
    return lambda code, a, b, c: a * b


MISTAKES: dict[str, tuple[str, Any, str, Any]] = {
    "none": ("forward", tile, "accumulate", lambda emit: emit),
    "a product less": ("forward", tile, "accumulate", _one_less),
    "a product less of a gradient": ("input", tile, "accumulate", _one_less),
    "no padding": ("forward", panel, "zeros", _nothing),
    "no activation": ("forward", output, "activated", _unchanged),
    "sums not begun": ("weight", panel, "zeros", _nothing),
    "only the last product": ("weight", Code, "fma", _product),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_comparison_notices_a_wrong_instruction(
    mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    direction, module, name, make = MISTAKES[mistake]
    kept: list[kernel.Kernel] = []

    def compiled(spec: Spec, target: Target) -> kernel.Kernel:
        made = machine.compile_object(spec.emit(target).text(), target)
        kept.append(kernel.Kernel(machine.load_object(made), "compiled", 0.0))
        return kept[-1]

    monkeypatch.setattr(kernel, "get", compiled)
    monkeypatch.setattr(module, name, make(getattr(module, name)))
    called.cache_clear()
    conv = Conv(1, 1, 3, 5, (6, 7), (3, 3), padding=(1, 1, 1, 1))
    try:
        assert_agrees(direction, conv, "nhwc", Way(HOST))
        noticed = False
    except AssertionError:
        noticed = True
    finally:
        called.cache_clear()
    assert noticed == (mistake != "none")


def test_comparison_notices_a_wrong_gradient_of_the_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(direction: str, conv: Conv, tensors: Any, bias: Any, way: Way) -> Problem:
        problem = run(direction, conv, tensors, bias, way)
        bias[-1] += 1
        return problem

    conv = Conv(1, 1, 3, 5, (6, 7), (3, 3))
    assert_agrees("weight", conv, "nhwc", Way(HOST))
    monkeypatch.setattr(agreeing, "run", mistaken)
    with pytest.raises(AssertionError, match="conv weight"):
        assert_agrees("weight", conv, "nhwc", Way(HOST))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("form", ["nchw", "nhwc"])
def test_avx512_is_compiled_where_it_cannot_run(direction: str, form: str) -> None:
    conv, way = Conv(1, 1, 16, 40, (9, 9), (3, 3)), Way(AVX512)
    first, second, bias = data(direction, conv, form, 0)
    result = LAYOUTS[FORMS[form][2]](torch.empty(conv.shapes(direction)[2]))
    problem = asked(direction, conv, (first, second, result), bias is not None, way)
    for step in planned(problem, way).called:
        made = step.spec.emit(AVX512).text()
        assert len(machine.compile_object(made, AVX512)) > 1000
        assert "zmm" in machine.instructions(made, AVX512)
