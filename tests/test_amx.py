"""The matrix unit: its instructions, its numbers, what it is asked for; tiles are interpreted.

That its kernels compute what is asked, on every form of tensor, is tested with those of the other
targets (`convolving.TARGETS`).
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from convolving import HOST, TILES, Conv, Way, asked, called, computed, defined, normal, planned
from faltung.accuracy import PRECISIONS, precision
from faltung.compiler import machine
from faltung.compiler.algorithms import amx_plan, amx_weight_plan
from faltung.compiler.call import ready
from faltung.compiler.emit import Program
from faltung.compiler.emit.tiles import Tiles
from faltung.compiler.plan import Plan, Step
from faltung.compiler.problem import parse
from faltung.compiler.target import Target, from_features, pretending
from faltung.errors import ArgumentError
from faltung.ops import ours
from faltung.ops.watching import float32_precision

RAPIDS = replace(HOST, level="amx", cpu="sapphirerapids", features="", lanes=16, registers=32)
UNIT = replace(RAPIDS, tiles="amx")
X86 = "x86" in HOST.features or "+sse2" in HOST.features
NOT_X86 = pytest.mark.skipif(not X86, reason="LLVM compiles for this CPU, which is no x86-64")
PROBLEMS = [
    Conv(2, 1, 40, 33, (9, 21), (3, 3), padding=(1, 1, 1, 1)),
    Conv(1, 1, 64, 64, (14, 14), (1, 1)),
    Conv(1, 1, 3, 32, (20, 23), (5, 5), (2, 2), (2, 2, 2, 2)),
    Conv(1, 2, 24, 16, (12, 9), (3, 2), (2, 1), (1, 0, 0, 1), (1, 2)),
]
ALLOWED = {"high": 1e-5, "medium": 2.0**-8}  # for data of mixed sign


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def off(y: Tensor, truth: Tensor) -> float:
    """Return the size of an error as a part of the size of what it is the error of."""
    return float((y.double() - truth).norm() / truth.norm())


# What the instructions do


@dataclass(frozen=True)
class OneProduct:
    """Three registers are read from places 0, 1 and 2, multiplied, and written to place 3."""

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("product") as code:
            tiles = Tiles(code)
            tiles.configure()
            for register in range(3):
                tiles.load(register, code.pointer(register), 64)
            tiles.dot(2, 0, 1)
            tiles.store(2, code.pointer(3), 64)
            tiles.zero(2)
            tiles.store(2, code.pointer(3) + 256, 64)
            tiles.release()
        return program


def multiplied(a: Tensor, b: Tensor, total: Tensor) -> Tensor:
    """Return what the kernel gives for [16][32] times [16 pairs][16][2], bfloat16."""
    out = torch.full((2, 16, 16), 9.0)
    call = ready(Plan("one", "", (Step(OneProduct(), ()),), 0, 1), TILES)
    call(a.data_ptr(), b.data_ptr(), total.data_ptr(), out.data_ptr(), 0)
    assert not out[1].any()
    return out[0]


def test_a_product_of_registers_is_that_of_matrices() -> None:
    random = torch.Generator().manual_seed(1)
    a = torch.randn((16, 32), generator=random).bfloat16()
    b = torch.randn((16, 16, 2), generator=random).bfloat16()
    total = torch.randn((16, 16), generator=random)
    expected = total.numpy().copy()
    even, odd = (np.zeros((16, 16), np.float64) for _ in range(2))
    for k in range(16):  # products of bfloat16 numbers are exact; a sum rounds once a step
        for sums, half in ((even, 0), (odd, 1)):
            product = np.outer(a[:, 2 * k + half].double(), b[k, :, half].double())
            sums[:] = (sums + product).astype(np.float32)
    expected += (even + odd).astype(np.float32)
    np.testing.assert_array_equal(multiplied(a, b, total).numpy(), expected)


@pytest.mark.parametrize("place", ["left", "right", "total", "product"])
def test_denormal_numbers_are_zero_to_the_unit(place: str) -> None:
    a, b = torch.zeros((16, 32)).bfloat16(), torch.zeros((16, 16, 2)).bfloat16()
    total, small = torch.zeros((16, 16)), 2.0**-130
    a[3, 8], b[4, 5, 0] = 1.0, 1.0
    if place == "left":
        a[3, 8] = small
    elif place == "right":
        b[4, 5, 0] = small
    elif place == "total":
        total[3, 5], a[3, 8] = small, 0.0
    else:
        a[3, 8] = b[4, 5, 0] = 2.0**-64
    assert not multiplied(a, b, total).any()
    a[3, 8], b[4, 5, 0] = 2.0**-63, 2.0**-63
    assert float(multiplied(a, b, torch.zeros((16, 16)))[3, 5]) == 2.0**-126


@NOT_X86
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("form", ["nchw", "nhwc"])
@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
def test_kernels_for_the_unit_are_made_of_its_instructions(
    direction: str, form: str, precision: str
) -> None:
    problem = replace(parse(f"conv {direction} mb2ic64ih28oc96kh3ph1 {form}"), precision=precision)
    plan = planned(problem, Way(UNIT))
    made = {
        type(step.spec): machine.instructions(step.spec.emit(UNIT).text(), UNIT)
        for step in plan.called
    }
    products = {"highest": 6, "high": 3, "medium": 1}[precision]
    text = next(t for t in made.values() if "tdpbf16ps" in t)
    assert len(re.findall("tdpbf16ps", text)) == 4 * products
    loads = {6: 14, 3: 8, 1: 4}[products]
    assert len(re.findall("tileloadd", text)) == loads + 4  # and where sums go on
    for word in ("ldtilecfg", "tilerelease"):
        assert len(re.findall(word, text)) == 1
    assert text.index("ldtilecfg") < text.index("tdpbf16ps")


# How exact it is


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
@pytest.mark.parametrize("number", range(len(PROBLEMS)))
def test_errors_are_what_is_promised(number: int, direction: str, precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    conv = PROBLEMS[number]
    first, second, _ = conv.shapes(direction)
    a, b = normal(number, first), normal(number + 9, second)
    truth = defined(direction, conv, a, b)
    allowed = ALLOWED.get(precision)
    if allowed is None:
        plain = computed(direction, conv, a, b, Way(replace(TILES, tiles="")))
        allowed = 2 * off(plain, truth)
    error = off(computed(direction, conv, a, b, Way(TILES)), truth)
    assert 0 < error <= allowed


def hard(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return numbers that make rounding errors large."""
    x = normal(seed, shape)
    if name == "cancelling":  # neighbouring channels nearly cancel
        x[:, 1::2] = -x[:, : x.shape[1] // 2 * 2 : 2] * (1 + 2.0**-12)
    elif name == "one huge":
        x = x * 1e-6
        x.view(-1)[x.numel() // 3] = 1e6
    elif name == "constant":
        x = torch.full(shape, 1 / 3)
    elif name == "scales":
        x = x * torch.logspace(-6, 6, shape[2]).view(-1, 1)
    return x


@pytest.mark.parametrize("name", ["cancelling", "one huge", "constant", "scales"])
@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
@pytest.mark.parametrize("number", [0, 1])
def test_errors_on_hard_numbers_are_within_the_bound(
    number: int, direction: str, name: str
) -> None:
    """The bound of a float32 sum of n products, and what six products of pieces leave out."""
    conv = PROBLEMS[number]
    first, second, _ = conv.shapes(direction)
    a, b = hard(name, first, 3), normal(4, second)
    result = computed(direction, conv, a, b, Way(TILES))
    truth, size = defined(direction, conv, a, b), defined(direction, conv, a.abs(), b.abs())
    bound = (conv.products(direction) + 2 + 3) * 2.0**-24 * size
    assert bool(((result.double() - truth).abs() <= bound).all())


# Which numbers it treats


def treated(direction: str, a: Tensor, b: Tensor, conv: Conv) -> bool:
    """Say whether the unit computes a result, or leaves it to another kernel."""
    result = torch.empty(conv.shapes(direction)[2])
    problem = asked(direction, conv, (a, b, result), False, Way(TILES))
    call = replace(called(problem, Way(TILES)), otherwise=None)
    room = torch.empty(call.workspace // 4 + 16)
    at = -(-room.data_ptr() // 64) * 64
    return call(a.data_ptr(), b.data_ptr(), 0, result.data_ptr(), at)


@pytest.mark.parametrize(
    ("value", "can"),
    [
        (float("nan"), False), (float("inf"), False), (-float("inf"), False), (3e38, False),
        (2.0**49, False), (2.0**47, True), (1e-40, True), (0.0, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
def test_one_number_decides(direction: str, which: int, value: float, can: bool) -> None:
    conv = PROBLEMS[0]
    a, b = (normal(place, shape) for place, shape in enumerate(conv.shapes(direction)[:2]))
    (a, b)[which][0, 1, -1, -1] = value
    assert treated(direction, a, b, conv) == can


@pytest.mark.parametrize(("scale", "can"), [(2.0**-40, True), (2.0**-60, False), (0.0, True)])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
def test_numbers_that_are_all_small(direction: str, which: int, scale: float, can: bool) -> None:
    conv = PROBLEMS[0]
    a, b = (normal(place, shape) for place, shape in enumerate(conv.shapes(direction)[:2]))
    a, b = (a * scale, b) if which == 0 else (a, b * scale)
    assert treated(direction, a, b, conv) == can
    truth = defined(direction, conv, a, b)
    result = computed(direction, conv, a, b, Way(TILES))
    assert float((result.double() - truth).norm()) <= 1e-6 * float(truth.norm())


# When it is asked


def test_targets_with_a_unit() -> None:
    features = dict.fromkeys(
        ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma", "amx-tile", "amx-bf16"), True
    )
    about = ("sapphirerapids", features, False, (48 << 10, 2 << 20))
    found = from_features(*about, permitted=lambda: True)
    assert (found.level, found.tiles, found.lanes) == ("amx", "amx", 16)
    forbidden = from_features(*about, permitted=lambda: False)
    assert (forbidden.level, forbidden.tiles) == ("avx512", "forbidden")
    lesser = pretending(found, "avx512")
    assert (lesser.level, lesser.tiles) == ("avx512", "")
    assert "-amx-tile" in lesser.features
    assert "+amx" not in pretending(found, "avx2").features
    assert pretending(found, "avx2").tiles == pretending(found, "vector128").tiles == ""
    assert pretending(found, "amx") == found

    def never() -> bool:
        raise AssertionError("a CPU without the unit is not asked for")

    del features["amx-bf16"]
    assert from_features(*about, permitted=never).tiles == ""


def test_why_it_does_not_run() -> None:
    problem = parse("ic64ih28oc64kh3ph1")
    none, forbidden = replace(TILES, tiles=""), replace(TILES, tiles="forbidden")
    assert amx_plan.refuses(problem, none) == (
        "it needs a matrix unit (AMX), and this CPU has none"
    )
    assert amx_plan.refuses(problem, forbidden) == (
        "the system does not let this process use the matrix unit"
    )
    assert amx_plan.refuses(problem, TILES) is None
    thin = amx_plan.refuses(parse("ic64ih56oc8kh1"), TILES)
    assert thin is not None
    assert re.search(r"expected to take \d+\.\d times as long as vector instructions", thin)
    assert amx_plan.refuses(parse("ic64ih56oc128kh1 bf16"), TILES) is None


@pytest.mark.parametrize("threads", [1, 28, 224])
@pytest.mark.parametrize("direction", ["forward", "input", "weight"])
@pytest.mark.parametrize(
    "text",
    [
        "ic1024ih14oc256kh1 nhwc",
        "ic2048ih7oc512kh1",
        "mb16ic64ih56oc64kh3ph1",
        "ic512ih7oc512kh3ph1",
    ],
)
def test_many_threads_take_no_more_memory_than_is_allowed(
    text: str, direction: str, threads: int
) -> None:
    problem = parse(f"conv {direction} {text}")
    algorithm = amx_weight_plan if direction == "weight" else amx_plan
    plan = algorithm.plans(problem, TILES, threads)[0]
    assert 1 <= plan.threads <= threads
    assert ours._fits(plan, problem)


def test_which_setting_of_torch_counts() -> None:
    assert float32_precision() == "highest"
    torch.set_float32_matmul_precision("medium")
    assert float32_precision() == "medium"
    conv: Any = torch.backends.mkldnn.conv  # type: ignore[attr-defined]
    before = conv.fp32_precision
    try:
        for word, meant in (("ieee", "highest"), ("tf32", "high"), ("bf16", "medium")):
            conv.fp32_precision = word
            assert float32_precision() == meant
    finally:
        conv.fp32_precision = before
    assert float32_precision() == "medium"
    nothing: dict[str, int] = {}
    with precision("high"):
        assert float32_precision() == "high"
        with pytest.raises(KeyError), precision("highest"):
            nothing[float32_precision()]
        assert float32_precision() == "high"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(float32_precision).result() == "medium"
    assert float32_precision() == "medium"
    with (
        pytest.raises(ArgumentError, match="precision is 'low': it must be one of 'highest', 'h"),
        precision("low"),
    ):
        raise AssertionError("the block is not entered")
