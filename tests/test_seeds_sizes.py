"""What the texts behind the library say about sizes, receptive fields and parameters."""

import pytest
import torch

from faltung import functional as F
from faltung import nn
from faltung.geometry import ReceptiveField, Window, pads, receptive_field

IMAGE = torch.arange(9.0).reshape(3, 3)
KERNEL = torch.arange(4.0).reshape(2, 2)


@pytest.mark.parametrize(("n", "k"), [(3, 2), (6, 3), (8, 5), (7, 7), (9, 4)])
@pytest.mark.parametrize("total", [0, 1, 2, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_both_formulas_of_the_output_size(n: int, k: int, total: int, stride: int) -> None:
    before, after = total // 2, total - total // 2
    padding = ((before, after), (0, 0))
    y = F.conv2d(torch.ones(1, 1, n, 4), torch.ones(1, 1, k, 1), None, (stride, 1), padding)
    assert y.shape[2] == (n - k + total + stride) // stride
    if stride == 1:
        assert y.shape[2] == n - k + total + 1
    if before == after:
        assert y.shape[2] == 1 + (n + 2 * before - k) // stride


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 7])
def test_padding_k_minus_1_keeps_the_size(k: int) -> None:
    x, w = torch.rand(1, 1, 8, 9), torch.rand(1, 1, k, k)
    for rule in ("same", "same_upper", "same_lower"):
        assert F.conv2d(x, w, padding=rule).shape == x.shape
        assert sum(pads(rule, 8, k)) == k - 1
    # Odd kernels pad p/2 on both sides; of even ones the text puts ceil(p/2) on top.
    assert pads("same_lower", 8, k) == (k // 2, (k - 1) // 2)


@pytest.mark.parametrize("k", [1, 3, 5, 7])
def test_with_an_odd_kernel_every_output_is_centred_on_its_input(k: int) -> None:
    x = torch.rand(1, 1, 8, 8)
    w = torch.zeros(1, 1, k, k)
    w[0, 0, k // 2, k // 2] = 1
    assert torch.equal(F.conv2d(x, w, padding="same"), x)


def test_8_x_8_stays_8_x_8_with_padding_1_and_halves_with_stride_2() -> None:
    x = torch.rand(1, 8, 8)
    assert nn.Conv2d(1, 1, 3, padding=1)(x).shape == (1, 8, 8)
    assert nn.Conv2d(1, 1, 3, stride=2, padding=1)(x).shape == (1, 4, 4)
    assert nn.Conv2d(1, 1, (3, 5), stride=(3, 4), padding=(0, 1))(x).shape == (1, 2, 2)


def test_6_x_6_becomes_4_x_4_and_padded_to_8_x_8_stays_6_x_6() -> None:
    x = torch.rand(1, 1, 6, 6)
    w = torch.rand(1, 1, 3, 3)
    assert F.conv2d(x, w).shape[2:] == (4, 4)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    assert padded.shape[2:] == (8, 8)
    assert F.conv2d(padded, w).shape[2:] == (6, 6)
    assert torch.allclose(F.conv2d(padded, w), F.conv2d(x, w, padding=1))


@pytest.mark.parametrize(("n", "stride"), [(8, 2), (9, 3), (12, 4), (7, 2), (10, 3)])
def test_same_with_stride_divides_the_size(n: int, stride: int) -> None:
    y = F.conv2d(torch.rand(1, 1, n, n), torch.rand(1, 1, 5, 5), stride=stride, padding="same")
    assert y.shape[2] == (n + stride - 1) // stride
    if n % stride == 0:
        assert y.shape[2] == n // stride


def test_a_megapixel_fully_connected_to_1000_needs_a_thousand_million_parameters() -> None:
    with torch.device("meta"):
        connected = torch.nn.Linear(10**6, 10**3, bias=False)
        convolution = nn.Conv2d(1, 10**3, 3, bias=False)
    assert connected.weight.numel() == 10**9
    assert convolution.weight.numel() == 9000


def test_two_layers_of_2_x_2_see_all_nine_inputs() -> None:
    assert receptive_field([Window(2), Window(2)]) == ReceptiveField(size=3, jump=1, start=0)
    x = IMAGE[None, None].clone().requires_grad_()
    y = F.conv2d(x, KERNEL[None, None] + 1)
    z = F.conv2d(y, KERNEL[None, None] + 1)
    assert z.shape == (1, 1, 1, 1)
    z.sum().backward()
    assert x.grad is not None
    assert torch.count_nonzero(x.grad) == 9


def test_the_receptive_field_of_19_is_four_inputs_and_may_exceed_the_image() -> None:
    x = IMAGE[None, None].clone().requires_grad_()
    F.conv2d(x, KERNEL[None, None] + 1)[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert (x.grad[0, 0] != 0).tolist() == [[True, True, False], [True, True, False], [False] * 3]
    chain = [Window(3, before=1, after=1)] * 4
    assert receptive_field(chain).size == 9
    assert receptive_field(chain).size > IMAGE.shape[0]


def test_input_1_of_the_first_example_reaches_output_a_only() -> None:
    x = IMAGE[None, None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.conv2d(x, KERNEL[None, None] + 1)[0, 0, 1, 1], x)
    assert gradient[0, 0, 0, 0] == 0
    w = KERNEL[None, None].clone().requires_grad_()
    # Every number of the kernel reaches every element of the feature map.
    for cell in F.conv2d(IMAGE[None, None] + 1, w).flatten():
        (gradient,) = torch.autograd.grad(cell, w, retain_graph=True)
        assert torch.count_nonzero(gradient) == 4
