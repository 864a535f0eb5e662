"""The matrix of a convolution, and what sharing its weights saves."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_hex
from torch import Tensor

from drawn import texts
from faltung import functional as F
from faltung import nn, pictures
from faltung.errors import ArgumentError, ShapeError
from faltung.pictures import style
from faltung.pictures.sharing import short

IMAGE = torch.arange(9.0).reshape(3, 3)
KERNEL = torch.arange(4.0).reshape(2, 2)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"padding": 1},
        {"padding": "same", "stride": (2, 1)},
        {"padding": "same_lower", "flip": True},
        {"dilation": 2, "padding": ((1, 2), (0, 3)), "flip": True},
    ],
)
def test_the_matrix_does_what_conv2d_does(given: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(1, 10, (5, 6), generator=generator, dtype=torch.float64)
    w = torch.randint(-9, 10, (2, 3), generator=generator, dtype=torch.float64)
    matrix = pictures.toeplitz(w, (5, 6), **given)
    expected = F.conv2d(x[None], w[None, None], **given)[0]
    assert matrix.shape == (expected.numel(), x.numel())
    assert torch.equal((matrix @ x.flatten()).view_as(expected), expected)
    spoiled = matrix.clone()
    spoiled[-1, torch.nonzero(matrix[-1])[0]] += 1
    assert not torch.equal((spoiled @ x.flatten()).view_as(expected), expected)


def test_it_is_doubly_block_toeplitz() -> None:
    blocks = pictures.toeplitz(KERNEL, (3, 3)).view(2, 2, 3, 3).transpose(1, 2)
    assert torch.equal(blocks[0, 0], blocks[1, 1])
    assert torch.equal(blocks[0, 1], blocks[1, 2])
    assert torch.count_nonzero(blocks[0, 2]) == torch.count_nonzero(blocks[1, 0]) == 0
    for block in blocks.flatten(0, 1):
        assert torch.equal(block[0, :-1], block[1, 1:])


def faces(figure: Any) -> list[list[str]]:
    """Return the colours of the cells of the two matrices."""
    found = [c for c in figure.axes[0].collections if isinstance(c, PatchCollection)]
    return [[to_hex(colour) for colour in np.asarray(c.get_facecolor())] for c in found]


@pytest.mark.parametrize("flip", [False, True])
def test_every_weight_has_one_colour_wherever_it_stands(flip: bool) -> None:
    figure = pictures.convolution_matrix(IMAGE, KERNEL + 1, flip=flip)
    shared, dense = faces(figure)
    matrix = pictures.toeplitz(KERNEL + 1, (3, 3), flip=flip).flatten().tolist()
    by_value = dict(zip(matrix, shared, strict=True))
    assert by_value == {0: style.PAPER, 1: "#56b4e9", 2: "#e69f00", 3: "#44b797", 4: "#f0e442"}
    assert [by_value[value] for value in matrix] == shared
    assert len(dense) == 36
    assert len(set(dense)) == 36


def test_a_weight_of_zero_is_a_weight() -> None:
    figure = pictures.convolution_matrix(IMAGE, KERNEL)
    assert figure.get_label() == (
        "convolution: 4 weights, 16 of 36 entries; fully connected: 36 weights"
    )
    assert faces(figure)[0].count(style.TAPS[0]) == 4
    written = texts(figure)
    assert "4 weights, shared; 16 of 36 entries" in written
    assert "36 weights, each used once" in written
    assert "matrix × image = output of conv2d; largest difference 0" in written
    assert written.count("19") == written.count("43") == 1


def test_a_large_kernel_has_as_many_colours_as_weights() -> None:
    shared = faces(pictures.convolution_matrix(torch.ones(6, 6), torch.ones(5, 5)))[0]
    assert len(set(shared) - {style.PAPER}) == 25


def test_the_texts_example_has_a_thousand_million_weights() -> None:
    counts = pictures.weight_counts(1000, (40, 25), stride=(40, 25))
    assert (counts.inputs, counts.outputs) == (10**6, 10**3)
    assert (counts.dense, counts.local, counts.shared) == (10**9, 10**6, 10**3)
    figure = pictures.connections()
    assert figure.get_label() == "weights: dense 10⁹, locally connected 10⁶, convolution 10³"
    written = texts(figure)
    assert {"10⁶ × 10³ = 10⁹ weights", "10³ × 10³ = 10⁶ weights", "10³ weights"} <= set(written)
    assert {"7 × 5 = 35 weights", "3 × 5 = 15 weights", "3 weights"} <= set(written)
    assert "image 1000×1000: 10⁶ inputs × 10³ outputs; windows of 40×25, stride 40×25" in written


def test_counts_are_those_of_real_layers() -> None:
    settings: dict[str, Any] = {"stride": 2, "padding": "same"}
    counts = pictures.weight_counts((5, 6), 3, in_channels=2, out_channels=4, **settings)
    local = nn.LocallyConnected2d(2, 4, (5, 6), 3, **settings)
    shared = nn.Conv2d(2, 4, 3, **settings)
    y: Tensor = shared(torch.zeros(2, 5, 6))
    assert counts.outputs == y.numel() == 4 * 3 * 3
    assert counts.local == local.weight.numel()
    assert counts.shared == shared.weight.numel()
    assert counts.dense == 60 * 36
    figure = pictures.connections((5, 6), 3, in_channels=2, out_channels=4, **settings)
    assert "image 5×6 in 2 channels: 60 inputs × 36 outputs; windows of 3×3, stride 2×2" in texts(
        figure
    )


def test_lines_of_shared_weights_differ_in_colour_and_dashes() -> None:
    lines = pictures.connections().axes[0].lines
    weights = {(line.get_color(), str(line.get_linestyle())) for line in lines}
    coloured = {weight for weight in weights if weight[0] not in {"#777777", style.LINE}}
    assert len(coloured) == 3
    assert len({dashes for _, dashes in coloured}) >= 2


def test_counts_are_written_short() -> None:
    assert [short(count) for count in (999, 1000, 1001, 10**12)] == ["999", "10³", "1,001", "10¹²"]


def test_windows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="the window is 40 rows high but the padded input only 9"):
        pictures.connections(9)
    with pytest.raises(ArgumentError, match="in_channels is 0"):
        pictures.connections(in_channels=0)


def test_no_setting_of_matplotlib_is_left_changed() -> None:
    before = dict(mpl.rcParams)
    texts(pictures.connections())
    assert dict(mpl.rcParams) == before
