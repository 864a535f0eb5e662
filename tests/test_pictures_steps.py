"""Pictures of one step: what they say and show is what the library computes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor

from drawn import cells, computed, crowded, dashed, filled, texts
from faltung import functional as F
from faltung import pictures
from faltung.errors import ArgumentError, DtypeError, ShapeError
from faltung.pictures import style
from faltung.pictures.arithmetic import equals, joined, products, shown

IMAGE = torch.arange(9).reshape(3, 3)
KERNEL = torch.arange(4).reshape(2, 2)


def whole_numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-9, 10, shape, generator=generator, dtype=torch.float64)


def some(output: Tensor) -> list[tuple[int, int]]:
    """Return the corners of an output and a cell inside."""
    last, rightmost = output.shape[0] - 1, output.shape[1] - 1
    inside = (last // 2, rightmost // 2)
    return [(0, 0), (0, rightmost), (last, 0), (last, rightmost), inside]


def test_the_first_example_says_19() -> None:
    figure = pictures.sliding_step(IMAGE, KERNEL)
    assert figure.get_label() == "0×0 + 1×1 + 3×2 + 4×3 = 19"
    written = texts(figure)
    assert "0×0 + 1×1 + 3×2 + 4×3 = 19" in written
    assert {"19", "25", "37", "43", "input 3×3", "kernel 2×2", "output 2×2"} <= set(written)
    assert "cross-correlation, output row 0, column 0" in written
    assert filled(figure, "input", style.BLUE_TINT) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert filled(figure, "output", style.GREEN_TINT) == {(0, 0)}
    assert len(cells(figure, "kernel")) == 4


def test_nested_lists_arrays_and_tensors_draw_the_same() -> None:
    figures = [
        pictures.sliding_step(IMAGE.tolist(), KERNEL.tolist(), 1, 1),
        pictures.sliding_step(IMAGE.numpy(), KERNEL.numpy(), 1, 1),
        pictures.sliding_step(IMAGE.float().requires_grad_(), KERNEL.float(), 1, 1),
    ]
    assert {figure.get_label() for figure in figures} == {"4×0 + 5×1 + 7×2 + 8×3 = 43"}


def test_padding_is_dashed_and_counts_as_zero() -> None:
    figure = pictures.sliding_step(IMAGE, KERNEL, padding=1)
    assert figure.get_label() == "0×0 + 0×1 + 0×2 + 0×3 = 0"
    border = {(i, j) for i in range(5) for j in range(5) if {i, j} & {0, 4}}
    assert dashed(figure, "input") == border
    assert any("padding 1 (dashed)" in text for text in texts(figure))


def test_strict_convolution_turns_the_kernel() -> None:
    figure = pictures.sliding_step(IMAGE, KERNEL, flip=True)
    assert figure.get_label() == "0×3 + 1×2 + 3×1 + 4×0 = 5"
    assert "turned by 180°" in texts(figure)
    assert filled(figure, "turned", style.ORANGE_TINT) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert filled(figure, "kernel", style.ORANGE_TINT) == set()


def test_dilation_leaves_gaps() -> None:
    figure = pictures.sliding_step(whole_numbers(5, 5), KERNEL, dilation=2)
    assert filled(figure, "input", style.BLUE_TINT) == {(0, 0), (0, 2), (2, 0), (2, 2)}


SETTINGS: list[dict[str, Any]] = [
    {},
    {"stride": (2, 1), "padding": 1},
    {"padding": "same_lower", "flip": True},
    {"padding": ((2, 0), (1, 1)), "dilation": 2},
    {"padding": "full", "flip": True, "stride": 2, "bias": -3.0},
]


@pytest.mark.parametrize("given", SETTINGS)
def test_every_sum_is_what_conv2d_gives(given: dict[str, Any]) -> None:
    x, w = whole_numbers(5, 6), whole_numbers(2, 3, seed=1)
    settings = {name: value for name, value in given.items() if name != "bias"}
    expected = F.conv2d(x[None], w[None, None], **settings)[0] + given.get("bias", 0.0)
    for row, column in some(expected):
        figure = pictures.sliding_step(x, w, row, column, **given)
        left, right = computed(str(figure.get_label()))
        assert [left] == right == [expected[row, column].item()]


@pytest.mark.parametrize("kind", ["max", "avg", "min"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"stride": 1, "padding": 1},
        {"stride": 3, "ceil_mode": True, "padding": ((1, 0), (0, 1))},
        {"padding": 1, "count_include_pad": False},
    ],
)
def test_every_pool_is_what_the_library_gives(kind: Any, given: dict[str, Any]) -> None:
    x = 36 * whole_numbers(5, 6)  # divisible by every divisor there is
    pool: Any = {"max": F.max_pool2d, "avg": F.avg_pool2d, "min": F.min_pool2d}[kind]
    settings = dict(given)
    if kind != "avg":
        settings.pop("count_include_pad", None)
    expected = pool(x[None], 2, **settings)[0]
    for row, column in some(expected):
        figure = pictures.pooling_step(x, 2, row, column, kind=kind, **given)
        left, right = computed(str(figure.get_label()))
        assert [left] == right == [expected[row, column].item()]


def test_pools_show_what_padding_holds_and_where_the_maximum_is() -> None:
    figure = pictures.pooling_step(IMAGE, 2, kind="max", padding=1, stride=1)
    assert figure.get_label() == "max(−∞, −∞, −∞, 0) = 0"
    assert texts(figure).count("−∞") == 16
    figure = pictures.pooling_step(IMAGE, 2, 1, 1, kind="max", stride=1)
    red = [p for p in figure.axes[0].patches if p.get_edgecolor()[:3] == pytest.approx(_red())]
    assert [patch.get_x() for patch in red] == [pytest.approx(2.1)]  # type: ignore[attr-defined]
    figure = pictures.pooling_step(IMAGE, 2, 1, 1, kind="avg", ceil_mode=True)
    assert figure.get_label() == "(8) / 1 = 8"
    assert dashed(figure, "input") == {(3, j) for j in range(4)} | {(i, 3) for i in range(4)}
    assert "average pooling 2×2, output row 1, column 1, stride 2, ceil mode" in texts(figure)


def _red() -> tuple[float, ...]:
    return tuple(int(style.RED[at : at + 2], 16) / 255 for at in (1, 3, 5))


def test_two_input_channels_sum_to_56() -> None:
    figure = pictures.channel_sums(
        torch.stack([IMAGE, IMAGE + 1]), torch.stack([KERNEL, KERNEL + 1])[None]
    )
    first, second = "0×0 + 1×1 + 3×2 + 4×3", "1×1 + 2×2 + 4×3 + 5×4"
    assert figure.get_label() == f"output 0:  ({first}) + ({second}) = 19 + 37 = 56"
    assert {"56", "72", "104", "120", "kernel 0, 1", "input 1"} <= set(texts(figure))


def test_a_1x1_kernel_is_a_dense_layer_at_one_pixel() -> None:
    x, w = whole_numbers(3, 2, 2), whole_numbers(2, 3, 1, 1, seed=1)
    figure = pictures.channel_sums(x, w, 1, 0, bias=[1, -2])
    expected = w[:, :, 0, 0] @ x[:, 1, 0] + torch.tensor([1.0, -2.0])
    lines = [text for text in texts(figure) if text.startswith("output") and "=" in text]
    for number, line in enumerate(lines):
        left, right = computed(line.partition(":")[2].strip())
        assert [left] == right == [expected[number].item()]
    assert len(lines) == 2


@pytest.mark.parametrize("given", SETTINGS[:4])
def test_channel_sums_are_what_conv2d_gives(given: dict[str, Any]) -> None:
    x, w = whole_numbers(2, 5, 6), whole_numbers(2, 2, 2, 3, seed=1)
    expected = F.conv2d(x, w, **given)
    figure = pictures.channel_sums(x, w, 1, 2, **given)
    said = str(figure.get_label()).split("output ")[1:]
    for number, line in enumerate(said):
        left, right = computed(line.partition(":")[2].strip())
        assert {left, *right} == {expected[number, 1, 2].item()}


def test_sizes_are_those_of_the_output() -> None:
    figure = pictures.geometry((5, 6), 3, stride=(2, 1), padding=((1, 0), (2, 2)))
    assert figure.get_label() == (
        "rows: ⌊(5 + 1 − 3) / 2⌋ + 1 = 2; columns: ⌊(6 + 2 + 2 − 3) / 1⌋ + 1 = 8"
    )
    assert len(cells(figure, "output")) == 16
    assert len(cells(figure, "input")) == 6 * 10
    assert len(dashed(figure, "input")) == 60 - 30
    assert {"stride 2", "stride 1", "input 5×6", "output 2×8"} <= set(texts(figure))


def test_a_window_that_would_start_in_the_padding_is_dropped() -> None:
    figure = pictures.geometry(4, 1, stride=2, padding=((0, 1), (0, 1)), ceil_mode=True)
    assert str(figure.get_label()).startswith("rows: ⌈(4 + 1 − 1) / 2⌉ + 1 − 1 = 2;")
    assert len(cells(figure, "output")) == 4


def test_numbers_are_short_and_rounding_is_said() -> None:
    values = (3.0, -0.5, 1 / 3, 12345678.0, 0.00123, float("nan"), -float("inf"), -0.0, 123.456)
    assert [shown(value) for value in values] == [
        "3", "−0.5", "0.33", "1.23e7", "0.001", "NaN", "−∞", "0", "123"
    ]  # fmt: skip
    assert equals(0.5, 0.25, 2.0) == "= 0.5"
    assert equals(1 / 3, 1.0) == "≈ 0.33"
    assert products([(1, -2), (-1, 0.5)]) == ["1×(−2)", "(−1)×0.5"]
    assert joined(["1", "2"], " + ", "= 3", longest=4) == ["1 +", "2 = 3"]


FIGURES: dict[str, Callable[[], Figure]] = {
    "long sums": lambda: pictures.sliding_step(whole_numbers(8, 8) / 7, whole_numbers(5, 5) / 9),
    "many digits": lambda: pictures.sliding_step(
        whole_numbers(4, 4) * 12345, whole_numbers(2, 2) * -0.001, 1, 1, padding=2, flip=True
    ),
    "one tap": lambda: pictures.sliding_step([[5]], [[-2]]),
    "pool": lambda: pictures.pooling_step(whole_numbers(9, 9) / 7, 5, 0, 0, kind="avg"),
    "thin": lambda: pictures.pooling_step(whole_numbers(1, 9), (1, 2)),
    "channels": lambda: pictures.channel_sums(
        whole_numbers(3, 4, 4), whole_numbers(3, 3, 3, 3) / 3, bias=[1, 2, 3], padding=1
    ),
    "sizes": lambda: pictures.geometry(7, 3, stride=2, padding="same", dilation=2),
    "one window": lambda: pictures.geometry(2, 2),
    "matrix": lambda: pictures.convolution_matrix(whole_numbers(4, 5), whole_numbers(3, 3) / 3),
    "tall matrix": lambda: pictures.convolution_matrix(whole_numbers(9, 9), whole_numbers(2, 2)),
    "connections": pictures.connections,
    "kernels": lambda: pictures.kernels(whole_numbers(20, 3, 3, 3)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_cut_off_or_lies_on_another(name: str) -> None:
    figure = FIGURES[name]()
    assert crowded(figure) == []
    assert figure.get_facecolor() == (1, 1, 1, 1)


def test_the_search_for_crowded_text_finds_some() -> None:
    figure = pictures.sliding_step(IMAGE, KERNEL)
    figure.axes[0].text(0.5, 0.5, "across the first cell and its neighbour")
    figure.axes[0].text(-5, 0, "outside")
    found = crowded(figure)
    assert "outside" in found
    assert any(" on " in text or "across" in text for text in found if text != "outside")


X, W = [[0.0] * 3] * 3, [[0.0] * 2] * 2
REFUSED = [
    (lambda: pictures.sliding_step(X, W, 2), ArgumentError,
     "row is 2: the output has 2 rows, counted from 0 to 1"),
    (lambda: pictures.sliding_step(X, X, 0, 1), ArgumentError,
     "column is 1: the output has 1 column, counted from 0 to 0"),
    (lambda: pictures.sliding_step(X, W, -1), ArgumentError,
     "row is -1: it must be at least 0"),
    (lambda: pictures.sliding_step([[1, 2], [3]], W), ShapeError,
     "image has rows that differ in length: all rows must be equally long"),
    (lambda: pictures.sliding_step([1, 2], W), ShapeError,
     "image has shape (2,): this picture takes (rows, columns), none of them empty"),
    (lambda: pictures.sliding_step(object(), W), DtypeError,
     "image is a object: a picture takes real numbers as nested lists, an array or a tensor"),
    (lambda: pictures.sliding_step(torch.zeros(3, 3, dtype=torch.complex64), W), DtypeError,
     "image is complex: draw its real part, its imaginary part or its abs()"),
    (lambda: pictures.sliding_step(torch.zeros(17, 3), W), ShapeError,
     "image has 17 x 3 cells: at most 16 x 16 can be read in a picture; cut out a part"),
    (lambda: pictures.sliding_step(torch.zeros(9, 9), torch.zeros(8, 1)), ShapeError,
     "kernel has 8 x 1 cells: at most 7 x 7 can be read in a picture; cut out a part"),
    (lambda: pictures.sliding_step(X, W, padding=9), ShapeError,
     "image with its padding has 21 x 21 cells: at most 16 x 16 can be read in a picture; cut out "
     "a part"),
    (lambda: pictures.sliding_step(X, torch.zeros(4, 1)), ShapeError,
     "the window is 4 rows high but the padded input only 3 (0 + 3 + 0): use a smaller kernel, "
     "more padding, or larger images (or fewer strided layers before this one)"),
    (lambda: pictures.pooling_step(X, 2, kind="mean"), ArgumentError,  # type: ignore[arg-type]
     "kind is 'mean': it must be 'max', 'avg' or 'min'"),
    (lambda: pictures.pooling_step(X, 2, kind="avg", dilation=2), ArgumentError,
     "dilation is 2: the window of a mean has none; use 1"),
    (lambda: pictures.channel_sums(torch.zeros(7, 2, 2), torch.zeros(1, 7, 1, 1)), ShapeError,
     "image has 7 channels: at most 6 can be read in a picture; choose some"),
    (lambda: pictures.channel_sums(torch.zeros(2, 2, 2), torch.zeros(1, 1, 1, 1)), ShapeError,
     "weight has 1 input channel but input has 2 (shape (1, 2, 2, 2)): use in_channels=2, or give "
     "the input 1 channels"),
    (lambda: pictures.geometry(40, 3), ShapeError,
     "input with its padding has 40 x 40 cells: at most 32 x 32 can be read in a picture; cut out "
     "a part"),
    (lambda: pictures.convolution_matrix(torch.zeros(11, 10), W), ShapeError,
     "the matrix has 90 rows and 110 columns, one for each output and pixel: at most 100 of each "
     "can be seen in a picture; use a smaller image"),
    (lambda: pictures.convolution_matrix(X, W, padding=10**6), ShapeError,
     "the matrix has 4000008000004 rows and 9 columns, one for each output and pixel: at most 100 "
     "of each can be seen in a picture; use a smaller image"),
]  # fmt: skip


@pytest.mark.parametrize(("draw", "error", "message"), REFUSED)
def test_bad_input_is_refused_in_words(draw: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        draw()
    assert str(caught.value) == message
