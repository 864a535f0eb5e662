"""Which kernel takes which pool, on how many threads; and that it compiles for other CPUs."""

from dataclasses import replace
from typing import Any

import pytest

from faltung.compiler import machine
from faltung.compiler.algorithms import pooling, pooling_gradient, pooling_scatter, pooling_tiles
from faltung.compiler.problem import KINDS, Problem, dense_strides
from faltung.compiler.target import Target

AVX512 = Target(
    "avx512", "skylake-avx512", "+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx2,+fma", 16, 32
)
OPERATIONS = ("max", "min", "avg")


def dense(operation: str, direction: str, last: bool, **more: Any) -> Problem:
    """Return a pool without padding over two images of 16 channels and 12 rows and columns."""
    x, y = dense_strides(16, (12, 12), last), dense_strides(16, (6, 6), last)
    none = (0, 0, 0, 0)
    strides = (x, none, y) if direction == "forward" else (y, none, x)
    return Problem(
        operation, direction, 2, 1, 16, 16, (12, 12), (6, 6), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1),
        strides=strides, **more,
    )  # fmt: skip


ALGORITHMS = {
    "pooling": (pooling, "forward", OPERATIONS),
    "pooling gradient": (pooling_gradient, "input", ("avg",)),
    "pooling scatter": (pooling_scatter, "input", ("max", "min")),
    "pooling tiles": (pooling_tiles, "input", ("max", "min")),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_kernels_compile_for_wider_vectors_than_these(name: str, kind: str, last: bool) -> None:
    algorithm, direction, operations = ALGORITHMS[name]
    for operation in operations:
        wanted = operation != "avg"
        problem = dense(operation, direction, last, kind=kind, indices=wanted)
        spec = algorithm.plans(problem, AVX512, 1)[0].steps[0].spec
        assert machine.compile_object(spec.emit(AVX512).text(), AVX512)[:4] == b"\x7fELF"


@pytest.mark.parametrize("direction", ["forward", "input"])
@pytest.mark.parametrize("operation", [*OPERATIONS, "conv"])
def test_a_problem_is_refused_by_all_that_are_for_others(operation: str, direction: str) -> None:
    problem = dense(operation, direction, True)
    takers = {
        name
        for name, (algorithm, *_) in ALGORITHMS.items()
        if algorithm.refuses(problem, AVX512) is None
    }
    assert takers == {
        name
        for name, (_, way, operations) in ALGORITHMS.items()
        if way == direction and operation in operations
    }
    assert all(name == algorithm.NAME for name, (algorithm, *_) in ALGORITHMS.items())


def test_what_torch_does_differently_by_format_or_32_bits_cannot_count_is_refused() -> None:
    for algorithm, direction in ((pooling, "forward"), (pooling_gradient, "input")):
        sentence = algorithm.refuses(dense("avg", direction, True, divisor=-2), AVX512)
        assert sentence == "the divisor is negative, and torch then signs zeros by memory format"
    wide = replace(dense("max", "forward", False, indices=True), size=(12, 2**30))
    assert pooling.refuses(wide, AVX512) == (
        "the image is so wide that positions in a window need more than 32 bits"
    )
    assert pooling.refuses(replace(wide, indices=False), AVX512) is None


@pytest.mark.parametrize("name", ALGORITHMS)
def test_only_what_is_worth_it_wakes_other_threads(name: str) -> None:
    algorithm, direction, (operation, *_) = ALGORITHMS[name]
    small = dense(operation, direction, False)
    assert algorithm.plans(replace(small, images=1), AVX512, 4)[0].threads == 1
    large = algorithm.plans(replace(small, images=64), AVX512, 4)[0]
    assert large.threads == 4
    assert large.workspace % (4 * 64) == 0


def test_windows_that_do_not_tile_are_refused_with_reasons() -> None:
    tiled = dense("max", "input", False)
    reasons: dict[str, dict[str, Any]] = {
        "it is the input gradient of maxima and minima only": {"operation": "avg"},
        "windows do not tile the image, each beside the one before and all inside": {
            "padding": (1, 0, 0, 0)
        },
        "positions in the image need more than 32 bits": {"size": (2**15, 2**15)},
        "it compares each element of a window, up to 9, and here are 20": {
            "window": (10, 2), "stride": (10, 2), "result": (1, 6),
        },
        "it weaves up to 2 columns of a window into rows, and here are 3": {
            "window": (2, 3), "stride": (2, 3), "result": (6, 4),
        },
        "it takes rows of 7 windows and more, and here are 6": {},
    }  # fmt: skip
    for sentence, changed in reasons.items():
        assert pooling_tiles.refuses(replace(tiled, **changed), AVX512) == sentence
    others: list[dict[str, Any]] = [
        {"stride": (2, 1)}, {"size": (11, 12)}, {"dilation": (2, 2)}, {"window": (1, 1)},
    ]  # fmt: skip
    for changed in others:
        assert "do not tile" in (pooling_tiles.refuses(replace(tiled, **changed), AVX512) or "")
