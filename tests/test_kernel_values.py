"""Values that dense kernels give: rounding, NaN and infinity, denormal numbers, bfloat16."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agreeing import FORMS, SOME, convs, data
from convolving import TARGETS, Conv, Way, activated, computed, defined, normal, whole
from faltung import ops
from faltung.compiler.problem import DIRECTIONS
from faltung.functional import conv2d
from faltung.ops.theirs import convolution as theirs
from layouts import LAYOUTS
from strategies import few

several = settings(few, max_examples=6)

UNIT = 2.0**-24  # unit roundoff of float32
STRANGE = [float("nan"), float("inf"), float("-inf")]
LARGER = [
    Conv(1, 1, 64, 64, (28, 28), (3, 3), padding=(1, 1, 1, 1)),
    Conv(2, 1, 3, 32, (56, 56), (7, 7), (2, 2), (3, 3, 3, 3)),
    Conv(2, 1, 256, 64, (14, 14), (1, 1)),
    Conv(1, 1, 2048, 32, (7, 7), (1, 1)),
    Conv(1, 1, 512, 32, (9, 9), (3, 3), (2, 2)),
    Conv(1, 4, 32, 16, (20, 21), (5, 3), (1, 2), (2, 1, 0, 4), (2, 1)),
]
WIDE = [  # few rows of many columns
    Conv(1, 1, 8, 8, (1, 4096), (1, 1)),
    Conv(2, 1, 16, 16, (2, 2048), (1, 3), padding=(0, 0, 1, 1)),
    Conv(1, 1, 16, 16, (2, 4096), (3, 3), padding=(1, 1, 1, 1)),
    Conv(1, 4, 4, 4, (2, 4096), (3, 3), padding=(1, 1, 1, 1)),
]
SHORT = [  # problems in bfloat16, and the forms in which they come
    (Conv(2, 1, 3, 5, (7, 19), (3, 2), (1, 2), (1, 0, 2, 1)), "nchw"),
    (Conv(1, 2, 40, 17, (9, 6), (3, 3), (1, 1), (1, 1, 1, 1)), "nhwc"),
    (Conv(1, 1, 16, 24, (11, 10), (2, 2), (2, 2)), "steps"),
]


def reals(direction: str, conv: Conv, form: str, seed: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return first, second and bias of normally distributed numbers, as a form lays them out."""
    *_, bias = data(direction, conv, form, seed)
    first, second, _ = conv.shapes(direction)
    layouts = FORMS[form]
    return (
        LAYOUTS[layouts[0]](normal(seed, first)),
        LAYOUTS[layouts[1]](normal(seed + 1, second)),
        None if bias is None else normal(seed + 2, (*bias.shape,)),
    )


def formed(direction: str, form: str, way: Way) -> Way:
    """Return the way with the activation of a form; gradients of weights have none."""
    return way if direction == "weight" else replace(way, activation=FORMS[form][4])


def assert_within(
    direction: str, conv: Conv, result: Tensor, first: Tensor, second: Tensor,
    bias: Tensor | None, activation: str,
) -> None:  # fmt: skip
    """Assert |y - ŷ| <= (n + 2) u sum |x||w| for every element, a sum of n products.

    A sum of n terms in any order is off by at most (n - 1) u sum |terms| to first order, each
    product by u of itself (N. Higham, "Accuracy and Stability of Numerical Algorithms", 3.1); an
    activation does not enlarge differences.
    """
    truth = activated(defined(direction, conv, first, second, bias), activation)
    size = None if bias is None else bias.abs()
    magnitude = defined(direction, conv, first.abs(), second.abs(), size)
    bound = (conv.products(direction) + 2) * UNIT * magnitude
    assert bool(((result.double() - truth).abs() <= bound).all())


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@several
@given(conv=convs(), form=st.sampled_from(SOME), seed=st.integers(0, 99))
def test_real_numbers_within_rounding(
    direction: str, level: str, conv: Conv, form: str, seed: int
) -> None:
    first, second, bias = reals(direction, conv, form, seed)
    way = formed(direction, form, Way(TARGETS[level]))
    result = computed(direction, conv, first, second, way, bias, FORMS[form][2])
    assert_within(direction, conv, result, first, second, bias, way.activation)


@pytest.mark.parametrize("spoil", [False, True])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_bound_notices_a_lost_product(direction: str, spoil: bool) -> None:
    conv = Conv(1, 1, 3, 2, (6, 6), (3, 3))
    first, second, _ = reals(direction, conv, "nchw", 1)
    result = computed(direction, conv, first, second, Way(next(iter(TARGETS.values()))))
    if spoil:
        second = second.clone()
        second.view(-1)[-1] = 0
    try:
        assert_within(direction, conv, result, first, second, None, "")
        noticed = False
    except AssertionError:
        noticed = True
    assert noticed == spoil


def torchs(direction: str, conv: Conv, first: Tensor, second: Tensor) -> Tensor:
    """Return what torch's own kernels give for these tensors."""
    rest = ([*conv.stride], [*conv.padding], [*conv.dilation], conv.groups, conv.flip)
    if direction == "forward":
        return theirs.conv2d(first, second, None, *rest)
    if direction == "input":
        return theirs.conv2d_input_gradient(first, second, None, [*conv.size], *rest)
    return theirs.conv2d_weight_gradient(first, second, [*conv.window], *rest, False)[0]


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("number", range(len(LARGER)))
@pytest.mark.parametrize("signs", ["mixed", "positive"])
def test_errors_are_no_more_than_twice_torchs(
    signs: str, number: int, direction: str, level: str
) -> None:
    conv = LARGER[number]
    first, second, _ = reals(direction, conv, "nchw", number)
    if signs == "positive":
        first, second = first.abs(), second.abs()
    truth = torchs(direction, conv, first.double(), second.double())
    ours = computed(direction, conv, first, second, Way(TARGETS[level]))
    theirs_ = torchs(direction, conv, first, second)
    error, allowed = ((y.double() - truth).norm() / truth.norm() for y in (ours, theirs_))
    assert float(error) <= 2 * float(allowed) + 1e-7


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("number", range(len(WIDE)))
@pytest.mark.parametrize("signs", ["mixed", "positive", "half"])
def test_wide_images_are_no_long_chains(signs: str, number: int, level: str) -> None:
    conv = WIDE[number]
    x, dy, _ = reals("weight", conv, "nchw", number)
    if signs != "mixed":
        x, dy = (t.abs() if signs == "positive" else t.relu() for t in (x, dy))
    truth = torchs("weight", conv, x.double(), dy.double())
    bias = torch.empty(conv.biased("weight"))
    way = Way(replace(TARGETS[level], tiles=""))  # the matrix unit leaves such to vectors
    dw = computed("weight", conv, x, dy, way, bias)
    theirs_ = torchs("weight", conv, x, dy)
    error, allowed = ((y.double() - truth).norm() / truth.norm() for y in (dw, theirs_))
    assert float(error) <= 2 * float(allowed)
    sums = dy.double().sum((0, 2, 3))
    assert float((bias.double() - sums).norm() / sums.norm()) <= 5e-7


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@several
@given(
    conv=convs(), form=st.sampled_from(SOME), seed=st.integers(0, 99),
    value=st.sampled_from(STRANGE), which=st.integers(0, 1), place=st.integers(0, 10**6),
)  # fmt: skip
def test_nan_and_infinity_stay_in_their_windows(
    direction: str, level: str, conv: Conv, form: str, seed: int,
    value: float, which: int, place: int,
) -> None:  # fmt: skip
    """A strange element reaches the elements whose windows hold it, and no other.

    Padding is made of zeros, so that zero times infinity counts; `dy` is not padded.
    """
    first, second, bias = data(direction, conv, form, seed)
    strange = first if direction == "input" else (first, second)[which]
    at = np.unravel_index(place % strange.numel(), strange.shape)
    strange[tuple(int(i) for i in at)] = value
    way = formed(direction, form, Way(TARGETS[level]))
    result = computed(direction, conv, first, second, way, bias, FORMS[form][2])
    truth = activated(defined(direction, conv, first, second, bias), way.activation)
    np.testing.assert_array_equal(result.double().numpy(), truth.numpy())


BORDERED = [
    Conv(1, 1, 1, 1, (7, 7), (3, 3)),
    Conv(2, 1, 5, 6, (8, 7), (2, 3), (1, 2), (1, 0, 2, 1), (2, 1)),
    Conv(1, 4, 1, 2, (9, 10), (3, 3), (2, 1), (1, 1, 1, 1)),
    Conv(1, 16, 1, 1, (20, 20), (3, 3), padding=(1, 1, 1, 1)),
    Conv(1, 1, 32, 32, (12, 12), (3, 3), padding=(1, 1, 1, 1)),
    Conv(1, 1, 64, 32, (12, 12), (1, 1), padding=(1, 2, 0, 0)),
]


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("number", range(len(BORDERED)))
@pytest.mark.parametrize("value", STRANGE)
def test_a_strange_weight_reaches_no_input_that_its_tap_does_not_touch(
    value: float, number: int, dtype: torch.dtype, layout: str
) -> None:
    """Around dy there is nothing, where a kernel may have zeros; three calls, for kept weights."""
    conv = BORDERED[number]
    dy, w = (LAYOUTS[layout](t.to(dtype)) for t in (whole(1, conv.y, 1), whole(2, conv.w, 1)))
    rest = ([*conv.stride], [*conv.padding], [*conv.dilation], conv.groups, conv.flip)
    for place in range(w.numel()) if number == 0 else (0, w.numel() // 2, w.numel() - 1):
        strange = w.clone(memory_format=torch.preserve_format)
        at = np.unravel_index(place, strange.shape)
        strange[tuple(int(i) for i in at)] = value
        truth = defined("input", conv, dy, strange).to(dtype).double()
        for _ in range(3):
            dx = ops.conv2d_input_gradient(dy, strange, None, [*conv.size], *rest)
            np.testing.assert_array_equal(dx.double().numpy(), truth.numpy())


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize("padding", [(0, -1, 0, -1), (-1, -1, 0, 0), (-1, 0, 1, 2)])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("groups", [1, 4])
def test_strange_weights_of_cropped_inputs(
    groups: int, window: int, padding: tuple[int, int, int, int], value: float
) -> None:
    """Negative padding leaves elements of the input that no window touches: they get zero."""
    conv = Conv(2, groups, 4 // groups, 4 // groups, (9, 8), (window, window), padding=padding)
    dy, w = whole(1, conv.y, 1), whole(2, conv.w, 1)
    w[0, 0, 0, 0] = value
    rest = ([1, 1], [*padding], [1, 1], groups, False)
    dx = ops.conv2d_input_gradient(dy, w, None, [9, 8], *rest)
    np.testing.assert_array_equal(dx.double().numpy(), defined("input", conv, dy, w).numpy())


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("scales", [(2.0**-149, 1.0), (2.0**-104, 2.0**-45)])
@pytest.mark.parametrize("threads", [1, 2])
def test_denormal_numbers_are_numbers(
    direction: str, level: str, scales: tuple[float, float], threads: int
) -> None:
    conv = Conv(2, 1, 5, 8, (7, 19), (3, 3), padding=(1, 1, 1, 1))
    first, second = (
        whole(i, shape) * scale
        for i, (shape, scale) in enumerate(zip(conv.shapes(direction), scales, strict=False))
    )
    assert first.count_nonzero() > first.numel() / 2
    truth = defined(direction, conv, first, second)
    assert 0 < truth.abs().max() < torch.finfo(torch.float32).tiny
    for layout in ("contiguous", "channels_last"):
        left, right = (LAYOUTS[layout](t) for t in (first, second))
        way = Way(TARGETS[level], threads)
        result = computed(direction, conv, left, right, way, layout=layout)
        assert torch.equal(result.double(), truth)


def ulps(a: Tensor, b: Tensor) -> Tensor:
    """Return how many bfloat16 numbers lie between two of them."""
    ordered = []
    for t in (a, b):
        bits = t.contiguous().view(torch.int16).int()
        ordered.append(torch.where(bits < 0, -32768 - bits, bits))
    return (ordered[0] - ordered[1]).abs()


def test_ulps() -> None:
    numbers = torch.tensor([-1.0, -0.0, 0.0, 1.0, 1.0078125]).bfloat16()
    following = torch.tensor([-1.0078125, 0.0, 2.0**-133, 1.0078125, 1.0]).bfloat16()
    assert ulps(numbers, following).tolist() == [1, 0, 1, 1, 1]


@pytest.mark.parametrize("level", TARGETS)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("number", range(len(SHORT)))
def test_bfloat16_is_rounded_once(number: int, direction: str, level: str) -> None:
    conv, form = SHORT[number]
    way, layout = formed(direction, form, Way(TARGETS[level])), FORMS[form][2]
    for numbers in (data, reals):
        first, second, bias = (
            None if t is None else t.bfloat16() for t in numbers(direction, conv, form, number)
        )
        assert first is not None
        assert second is not None
        result = computed(direction, conv, first, second, way, bias, layout)
        wide = None if bias is None else bias.float()
        float32 = computed(direction, conv, first.float(), second.float(), way, wide, layout)
        assert result.dtype == torch.bfloat16
        assert int(ulps(result, float32.bfloat16()).max()) <= 1
        if numbers is data:
            truth = activated(defined(direction, conv, first, second, bias), way.activation)
            assert torch.equal(result, truth.bfloat16())


@pytest.mark.parametrize("level", TARGETS)
def test_bfloat16_keeps_nan_and_infinity(level: str) -> None:
    conv = SHORT[0][0]
    x, w = whole(1, conv.x), whole(2, conv.w)
    x[0, 0, 0, 0], x[0, 1, 3, 9], x[1, 2, 6, 18], x[1, 0, 1, 1] = *STRANGE, 3e38
    x, w = x.bfloat16(), w.bfloat16()
    truth = defined("forward", conv, x, w)
    result = computed("forward", conv, x, w, Way(TARGETS[level]))
    assert truth.isnan().any()
    assert truth.isinf().any()
    np.testing.assert_array_equal(result.float().numpy(), truth.bfloat16().float().numpy())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_padding_meets_strange_weights_however_large_the_dilation(
    number: float, layout: torch.memory_format
) -> None:
    x = torch.randn(1, 8, 24, 25).contiguous(memory_format=layout)
    w = torch.randn(16, 8, 3, 3).contiguous(memory_format=layout)
    finite = conv2d(x, w, None, 1, 9, 9)
    w[5, 2, 0, 1] = number
    truth = tf.conv2d(tf.pad(x, (9, 9, 9, 9)).double(), w.double(), None, 1, 0, 9)
    for _ in range(3):
        found = conv2d(x, w, None, 1, 9, 9)
        torch.testing.assert_close(found.double(), truth, rtol=1e-4, atol=1e-4, equal_nan=True)
    whole = [k for k in range(16) if k != 5]
    torch.testing.assert_close(found[:, whole], finite[:, whole])
