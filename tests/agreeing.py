"""Problems in forms: layouts, bias, activation; and a result compared with its definition."""

from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from convolving import Conv, Way, activated, defined, run, whole
from guarded import blank, gaps_untouched
from layouts import LAYOUTS

FORMS = {  # layouts of first, second and result; bias; activation
    "nchw": ("contiguous", "contiguous", "contiguous", False, ""),
    "nhwc": ("channels_last", "channels_last", "channels_last", True, "relu"),
    "windows": ("window", "window", "window", True, ""),
    "windows nhwc": ("window_channels_last", "transposed", "window_channels_last", False, "relu6"),
    "steps": ("every_other", "every_other", "every_other", True, "relu6"),
    "nchw to nhwc": ("contiguous", "channels_last", "channels_last", True, "relu"),
    "nhwc to nchw": ("channels_last", "expanded_channel", "contiguous", True, "relu"),
    "turned": ("transposed", "batch_last", "rows_last", True, "relu6"),
    "one image": ("expanded_batch", "expanded_batch", "window", True, ""),
    "one channel": ("expanded_channel", "contiguous", "contiguous", False, ""),
    "one pixel": ("expanded_pixel", "expanded_pixel", "channels_last", True, "relu"),
}

SOME = ("nchw", "nhwc", "steps", "nchw to nhwc", "one pixel")
"""Forms that together have every layout, for what does not hang on their combination."""


def data(direction: str, conv: Conv, form: str, seed: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return first, second and bias as a form lays them out."""
    shapes, (*layouts, _, bias, _) = conv.shapes(direction), FORMS[form]
    first, second = (
        LAYOUTS[layout](whole(seed + i, shape))
        for i, (layout, shape) in enumerate(zip(layouts, shapes, strict=False))
    )
    wanted = bias and direction != "weight"
    return first, second, whole(seed + 2, (conv.biased(direction),)) if wanted else None


def assert_agrees(direction: str, conv: Conv, form: str, way: Way, seed: int = 0) -> None:
    """Assert that a result is the definition's, and that nothing beside it is written."""
    first, second, bias = data(direction, conv, form, seed)
    *_, layout, sums, activation = FORMS[form]
    result = blank(LAYOUTS[layout](torch.empty(conv.shapes(direction)[2])))
    if direction == "weight":
        bias = blank(torch.empty(conv.biased(direction))) if sums else None
    else:
        way = replace(way, activation=activation)
    problem = run(direction, conv, (first, second, result), bias, way)
    wanted = bias if direction != "weight" else None
    truth = activated(defined(direction, conv, first, second, wanted), way.activation)
    assert torch.equal(result.double(), truth), f"{problem}; {conv}, {form}, {way}"
    assert gaps_untouched(result), f"{problem} writes beside its output; {conv}, {form}, {way}"
    if direction == "weight" and bias is not None:
        assert torch.equal(bias.double(), second.double().sum((0, 2, 3))), f"{problem}; {conv}"


@st.composite
def convs(draw: st.DrawFn) -> Conv:
    """Draw a convolution whose output has elements."""
    channels = st.sampled_from([1, 2, 3, 5, 8, 15, 16, 17, 40, 65])
    large = draw(channels), draw(channels)
    groups = draw(st.sampled_from([1, 1, 2, 3])) if max(large) < 16 else 1
    window = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)) | st.sampled_from([(7, 7)]))
    stride, dilation = (draw(st.tuples(*[st.integers(1, 3)] * 2)) for _ in range(2))
    sides, size = [], []
    for taps, gap in zip(window, dilation, strict=True):
        before, after = (draw(st.integers(0, 2) | st.integers(0, taps + 4)) for _ in range(2))
        least = max((taps - 1) * gap + 1 - before - after, 1)
        sides += [before, after]
        size.append(least + draw(st.integers(0, 6) | st.integers(0, 20)))
    return Conv(
        draw(st.integers(1, 3)), groups, *large, (size[0], size[1]), window, stride,
        (sides[0], sides[1], sides[2], sides[3]), dilation, draw(st.booleans()),
    )  # fmt: skip
