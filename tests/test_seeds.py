"""Every worked number of the texts behind the library, and what they say the layer does."""

import numpy as np
import pytest
import torch
from torch import Tensor

from faltung import functional as F
from faltung import nn

IMAGE = torch.arange(9.0).reshape(3, 3)
KERNEL = torch.arange(4.0).reshape(2, 2)
EDGE = torch.tensor([[1.0, -1.0]])


def black_and_white() -> Tensor:
    """Return the picture of 6 x 8: white, with four black columns in the middle."""
    picture = torch.ones(6, 8)
    picture[:, 2:6] = 0
    return picture


def test_the_first_example_gives_19_25_37_43() -> None:
    expected = torch.tensor([[19.0, 25.0], [37.0, 43.0]])
    assert torch.equal(F.correlate2d(IMAGE, KERNEL), expected)
    assert torch.equal(F.conv2d(IMAGE[None, None], KERNEL[None, None])[0, 0], expected)


def test_a_layer_adds_one_number_to_the_correlation() -> None:
    layer = nn.Conv2d(1, 1, 2)
    with torch.no_grad():
        layer.weight.copy_(KERNEL)
        layer.bias.fill_(100)  # type: ignore[union-attr]
    expected = torch.tensor([[[119.0, 125.0], [137.0, 143.0]]])
    assert torch.equal(layer(IMAGE[None]), expected)


def test_convolution_is_correlation_with_the_kernel_turned_both_ways() -> None:
    turned = KERNEL.flip(1).flip(0)
    assert torch.equal(F.convolve2d(IMAGE, KERNEL), F.correlate2d(IMAGE, turned))
    assert not torch.equal(F.convolve2d(IMAGE, KERNEL), F.correlate2d(IMAGE, KERNEL))
    assert F.convolve2d(IMAGE, KERNEL).tolist() == [[5.0, 11.0], [23.0, 29.0]]


def test_two_input_channels_are_summed_to_56() -> None:
    x = torch.stack([IMAGE, IMAGE + 1])
    w = torch.stack([KERNEL, KERNEL + 1])
    y = F.conv2d(x, w[None])
    assert y.shape == (1, 2, 2)
    assert y.tolist() == [[[56.0, 72.0], [104.0, 120.0]]]


def test_the_edges_of_the_picture_and_none_in_its_transpose() -> None:
    y = F.correlate2d(black_and_white(), EDGE)
    assert y.tolist() == [[0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0]] * 6
    transposed = F.correlate2d(black_and_white().T, EDGE)
    assert transposed.shape == (8, 5)
    assert torch.count_nonzero(transposed) == 0


def test_padding_makes_the_output_4_x_4_and_its_first_element_0() -> None:
    y = F.conv2d(IMAGE[None, None], KERNEL[None, None], padding=1)[0, 0]
    expected = [
        [0.0, 3.0, 8.0, 4.0],
        [9.0, 19.0, 25.0, 10.0],
        [21.0, 37.0, 43.0, 16.0],
        [6.0, 7.0, 8.0, 0.0],
    ]
    assert y.tolist() == expected
    assert torch.equal(F.correlate2d(IMAGE, KERNEL, "full"), y)


def test_strides_of_3_and_2() -> None:
    y = F.conv2d(IMAGE[None, None], KERNEL[None, None], stride=(3, 2), padding=1)[0, 0]
    assert y.tolist() == [[0.0, 8.0], [6.0, 8.0]]


def learn(flip: bool) -> tuple[nn.Conv2d, float]:
    """Learn the edge kernel as the text does, in 10 steps; return the layer and its last loss."""
    torch.manual_seed(0)
    layer = nn.Conv2d(1, 1, (1, 2), bias=False, flip=flip)
    x = black_and_white()[None, None]
    wanted = F.conv2d(x, EDGE[None, None])
    loss = torch.zeros(())
    for _ in range(10):
        loss = (layer(x) - wanted).square().sum()
        layer.zero_grad()
        loss.backward()
        with torch.no_grad():
            assert layer.weight.grad is not None
            layer.weight -= 3e-2 * layer.weight.grad
    return layer, loss.item()


@pytest.mark.parametrize("flip", [False, True])
def test_the_edge_kernel_is_learned_from_data(flip: bool) -> None:
    layer, loss = learn(flip)
    expected = EDGE.flip(1) if flip else EDGE
    assert torch.allclose(layer.weight[0, 0], expected, atol=0.1)
    assert loss < 0.2


def test_plain_and_strict_layers_predict_the_same_once_learned() -> None:
    x = torch.rand(4, 1, 9, 9, generator=torch.Generator().manual_seed(1))
    plain, strict = learn(flip=False)[0], learn(flip=True)[0]
    # Each started from the other's weights turned, they would agree to the last bit.
    assert torch.allclose(plain(x), strict(x), atol=0.2)
    with torch.no_grad():
        strict.weight.copy_(plain.weight.flip(2, 3))
    assert torch.equal(plain(x), strict(x))


def test_every_output_channel_has_a_kernel_of_all_input_channels() -> None:
    layer = nn.Conv2d(3, 5, (2, 4))
    assert layer.weight.shape == (5, 3, 2, 4)
    x = torch.rand(1, 3, 6, 6)
    y = layer(x)
    for k in range(5):
        alone = F.conv2d(x, layer.weight[k : k + 1], layer.bias[k : k + 1])  # type: ignore[index]
        assert torch.allclose(y[:, k : k + 1], alone, atol=1e-6)
    each = sum(F.conv2d(x[:, c : c + 1], layer.weight[:, c : c + 1]) for c in range(3))
    assert torch.allclose(y, each + layer.bias.view(1, 5, 1, 1), atol=1e-6)  # type: ignore[union-attr]


def test_1_x_1_convolution_is_the_fully_connected_layer_over_channels() -> None:
    x = torch.randint(-9, 9, (1, 3, 3, 3)).float()
    w = torch.randint(-9, 9, (2, 3, 1, 1)).float()
    y = F.conv2d(x, w)
    connected = (w.view(2, 3) @ x.view(3, 9)).view(1, 2, 3, 3)
    assert torch.equal(y, connected)
    layer = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(w.view(2, 3))
    assert torch.equal(y, layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def test_a_moved_image_gives_a_moved_feature_map() -> None:
    x = torch.zeros(1, 1, 9, 9)
    x[0, 0, 2:5, 1:4] = IMAGE
    w = torch.rand(1, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    moved = F.conv2d(x.roll((2, 3), (2, 3)), w, padding="same")
    assert torch.allclose(moved, F.conv2d(x, w, padding="same").roll((2, 3), (2, 3)))


def test_weights_that_do_not_depend_on_the_place_make_the_layer_a_convolution() -> None:
    local = nn.LocallyConnected2d(1, 1, 3, 2)
    with torch.no_grad():
        local.weight.copy_(KERNEL.expand(2, 2, 1, 1, 2, 2))
        assert local.bias is not None
        local.bias.zero_()
    assert local(IMAGE[None]).tolist() == [[[19.0, 25.0], [37.0, 43.0]]]


def test_pooling_takes_the_maximum_the_minimum_or_the_mean() -> None:
    x = IMAGE[None, None]
    assert F.max_pool2d(x, 2, 1)[0, 0].tolist() == [[4.0, 5.0], [7.0, 8.0]]
    assert F.min_pool2d(x, 2, 1)[0, 0].tolist() == [[0.0, 1.0], [3.0, 4.0]]
    assert F.avg_pool2d(x, 2, 1)[0, 0].tolist() == [[2.0, 3.0], [5.0, 6.0]]


def test_pooling_forgives_a_small_shift() -> None:
    x = black_and_white()
    edges = F.correlate2d(x, EDGE)[None, None]
    shifted = F.correlate2d(torch.cat([x[:, 1:], x[:, -1:]], 1), EDGE)[None, None]
    assert not torch.equal(edges, shifted)
    pooled = F.max_pool2d(edges, 2, padding=((0, 0), (0, 1)))
    assert torch.equal(pooled, F.max_pool2d(shifted, 2, padding=((0, 0), (0, 1))))


def test_max_pooling_keeps_the_signal_min_pooling_the_noise_and_the_mean_blurs() -> None:
    signal = torch.zeros(1, 1, 4, 4)
    signal[0, 0, 1, 1] = 1.0
    assert F.max_pool2d(signal, 2)[0, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert torch.count_nonzero(F.min_pool2d(signal, 2)) == 0
    assert F.avg_pool2d(signal, 2)[0, 0].tolist() == [[0.25, 0.0], [0.0, 0.0]]


def test_numpy_arrays_give_the_worked_numbers_too() -> None:
    y = F.correlate2d(np.arange(9).reshape(3, 3), np.arange(4).reshape(2, 2))
    assert y.tolist() == [[19, 25], [37, 43]]
