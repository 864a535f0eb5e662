"""First and second derivatives of every operation, against finite differences in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import oracle
from comparing import tensor
from faltung import functional as F
from layouts import LAYOUTS, laid_out
from strategies import integers, reals


def leaf(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a tensor of real or complex numbers that wants its gradient."""
    values = tensor(reals(seed, shape)).to(dtype)
    if dtype.is_complex:
        values = values + 1j * tensor(reals(seed + 100, shape))
    return values.requires_grad_()


def check(function: Callable[..., Tensor], *inputs: Tensor | None) -> None:
    """Compare first and second derivatives with finite differences."""
    given = [value for value in inputs if value is not None]

    def filled(*values: Tensor) -> Tensor:
        rest = iter(values)
        return function(*(None if value is None else next(rest) for value in inputs))

    assert gradcheck(filled, given)
    assert gradgradcheck(filled, given)


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"flip": True},
    {"padding": ((2, 0), (1, 3)), "stride": 2},
    {"padding": ((0, 1), (2, 0)), "dilation": (2, 1), "flip": True},
    {"stride": (3, 2), "padding": "same"},
    {"stride": 2, "padding": "same_lower", "flip": True},
    {"padding": "full", "groups": 2},
    {"groups": 2, "stride": 2, "padding": ((1, 0), (0, 2)), "dilation": (1, 2), "flip": True},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize("with_bias", [False, True])
def test_convolution(options: dict[str, Any], with_bias: bool) -> None:
    x, w = leaf(1, 2, 2, 5, 4), leaf(2, 2, 2 // options.get("groups", 1), 2, 3)
    bias = leaf(3, 2) if with_bias else None
    check(lambda x, w, b: F.conv2d(x, w, b, **options), x, w, bias)


@pytest.mark.parametrize("options", CONVOLUTIONS[2:5], ids=str)
def test_convolution_of_complex_numbers(options: dict[str, Any]) -> None:
    x, w = leaf(1, 1, 2, 4, 4, dtype=torch.complex128), leaf(2, 1, 2, 2, 2, dtype=torch.complex128)
    bias = leaf(3, 1, dtype=torch.complex128)
    check(lambda x, w, b: F.conv2d(x, w, b, **options), x, w, bias)


TRANSPOSED: list[dict[str, Any]] = [
    {},
    {"flip": True, "padding": ((1, 0), (0, 2))},
    {"stride": 2, "padding": ((0, 1), (2, 0)), "output_padding": (1, 0)},
    {"stride": (3, 2), "padding": "same"},
    {"stride": 3, "padding": "same_lower", "flip": True},
    {"stride": 2, "dilation": 2, "groups": 2, "output_padding": 1},
    {"dilation": 3, "output_padding": (2, 1), "padding": 1},
]


@pytest.mark.parametrize("options", TRANSPOSED, ids=str)
@pytest.mark.parametrize("with_bias", [False, True])
def test_transposed_convolution(options: dict[str, Any], with_bias: bool) -> None:
    groups = options.get("groups", 1)
    x, w = leaf(1, 2, 2, 3, 4), leaf(2, 2, 2 // groups, 2, 3)
    bias = leaf(3, 2) if with_bias else None
    check(lambda x, w, b: F.conv_transpose2d(x, w, b, **options), x, w, bias)


def test_transposed_convolution_of_complex_numbers() -> None:
    x, w = leaf(1, 1, 2, 3, 3, dtype=torch.complex128), leaf(2, 2, 1, 2, 2, dtype=torch.complex128)
    bias = leaf(3, 1, dtype=torch.complex128)
    padding = ((1, 0), (0, 1))
    check(lambda x, w, b: F.conv_transpose2d(x, w, b, 2, padding), x, w, bias)


@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2, "padding": ((1, 0), (0, 2))}, {"dilation": 2, "padding": "same"}],
    ids=str,
)
def test_local_operation(options: dict[str, Any]) -> None:
    x = leaf(1, 2, 2, 4, 4)
    kernel = torch.zeros(1, 2, 2, 2, dtype=torch.float64)
    places = F.conv2d(x.detach(), kernel, None, **options).shape[2:]
    w, bias = leaf(2, *places, 2, 2, 2, 2), leaf(3, 2, *places)
    check(lambda x, w, b: F.local2d(x, w, b, **options), x, w, bias)


POOLINGS: list[dict[str, Any]] = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": (3, 2), "stride": 2, "padding": ((1, 0), (0, 1))},
    {"kernel_size": 3, "stride": 2, "padding": "same_lower"},
    {"kernel_size": 2, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 2, "stride": 3, "padding": ((0, 1), (1, 0)), "ceil_mode": True},
    {"kernel_size": 2, "padding": "full"},
]
MEANS: list[dict[str, Any]] = [
    {**options, **more}
    for options in POOLINGS
    for more in ({}, {"count_include_pad": False}, {"divisor_override": 3})
]


@pytest.mark.parametrize("pool", [F.max_pool2d, F.min_pool2d], ids=["max", "min"])
@pytest.mark.parametrize("options", [*POOLINGS, {"kernel_size": 2, "dilation": 2}], ids=str)
def test_extrema(pool: Callable[..., Tensor], options: dict[str, Any]) -> None:
    order = torch.randperm(2 * 2 * 5 * 4, generator=torch.Generator().manual_seed(1))
    x = order.double().view(2, 2, 5, 4).requires_grad_()
    check(lambda x: pool(x, **options), x)


@pytest.mark.parametrize("options", MEANS, ids=str)
def test_means(options: dict[str, Any]) -> None:
    check(lambda x: F.avg_pool2d(x, **options), leaf(1, 2, 2, 5, 4))


OPERANDS: dict[str, tuple[int, ...]] = {
    "input": (2, 2, 5, 4),
    "weight": (2, 2, 2, 3),
    "bias": (2,),
}


@pytest.mark.parametrize("operation", [F.conv2d, F.conv_transpose2d], ids=["plain", "transposed"])
@pytest.mark.parametrize("wanted", OPERANDS)
def test_each_gradient_can_be_asked_for_alone(
    operation: Callable[..., Tensor], wanted: str
) -> None:
    every = [leaf(i, *shape) for i, shape in enumerate(OPERANDS.values())]
    alone = [
        value.detach().clone().requires_grad_(name == wanted)
        for name, value in zip(OPERANDS, every, strict=True)
    ]
    padding = ((1, 0), (0, 2))
    expected = torch.autograd.grad(operation(*every, 2, padding).square().sum(), every)
    operation(*alone, 2, padding).square().sum().backward()
    for name, value, gradient in zip(OPERANDS, alone, expected, strict=True):
        if name == wanted:
            assert value.grad is not None
            torch.testing.assert_close(value.grad, gradient)
        else:
            assert value.grad is None


def test_gradients_of_whole_numbers_agree_bit_for_bit_with_the_definition() -> None:
    options: dict[str, Any] = {"stride": 2, "padding": ((1, 0), (0, 2)), "flip": True}
    x = tensor(integers(1, (2, 2, 5, 4)), torch.float32).requires_grad_()
    w = tensor(integers(2, (3, 2, 2, 3)), torch.float32).requires_grad_()
    y = F.conv2d(x, w, None, **options)
    dy = integers(3, tuple(y.shape))
    y.backward(tensor(dy, torch.float32))
    for operand in (x, w):
        expected = torch.zeros(operand.shape)
        for place in range(operand.numel()):
            unit = torch.zeros(operand.numel(), dtype=torch.float64)
            unit[place] = 1
            moved = unit.view(operand.shape).numpy()
            pair = (moved, w.detach().numpy()) if operand is x else (x.detach().numpy(), moved)
            expected.view(-1)[place] = float((oracle.conv2d(*pair, **options) * dy).sum())
        assert operand.grad is not None
        assert torch.equal(operand.grad, expected)


def test_backward_twice_through_a_retained_graph_adds_up() -> None:
    x, w = leaf(1, 1, 2, 4, 4), leaf(2, 2, 2, 3, 3)
    y = F.max_pool2d(F.conv2d(x, w, None, 1, "same"), 2).sum()
    y.backward(retain_graph=True)
    assert x.grad is not None
    once = x.grad.clone()
    y.backward()
    assert torch.equal(x.grad, 2 * once)


@pytest.mark.parametrize("operation", [F.conv2d, F.conv_transpose2d], ids=["plain", "transposed"])
def test_gradients_flow_through_views_and_expanded_gradients(
    operation: Callable[..., Tensor],
) -> None:
    base = leaf(1, 5, 4, 2, 2)
    w = leaf(2, 2, 2, 2, 3)
    check(lambda base, w: operation(base.permute(3, 2, 0, 1)[:1], w, None, 2, 1), base, w)
    x = base.detach().permute(3, 2, 0, 1).clone().requires_grad_()
    operation(x, w).sum().backward()
    assert x.grad is not None
    copied = x.detach().clone().requires_grad_()
    y = operation(copied, w)
    y.backward(torch.ones(y.shape, dtype=y.dtype))
    assert copied.grad is not None
    assert torch.equal(x.grad, copied.grad)


def test_maxima_hand_on_that_there_is_no_gradient() -> None:
    for pool in (F.max_pool2d, F.min_pool2d):
        x = leaf(1, 1, 2, 4, 4)
        y = pool(x, 2)
        y.grad_fn.register_prehook(lambda grads: (None,) * len(grads))  # type: ignore[union-attr]
        y.sum().backward()
        assert x.grad is None


def test_nothing_is_recorded_without_grad() -> None:
    x, w = leaf(1, 1, 2, 4, 4), leaf(2, 2, 2, 3, 3)
    with torch.no_grad():
        assert F.conv2d(x, w).grad_fn is None
        assert F.max_pool2d(x, 2).grad_fn is None
    with torch.inference_mode():
        assert F.conv2d(x, w, None, 1, ((1, 0), (0, 0))).is_inference()


def test_a_changed_weight_is_noticed_before_backward() -> None:
    x, w = leaf(1, 1, 2, 4, 4), leaf(2, 2, 2, 3, 3)
    y = F.conv2d(x, w).sum()
    with torch.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


EVERY: dict[str, Callable[[Tensor], Tensor]] = {
    "conv2d": lambda x: F.conv2d(x, torch.ones(2, 4, 3, 2).double(), None, 2, ((1, 0), (0, 2))),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, torch.ones(4, 2, 3, 2).double(), None, 2),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "min_pool2d": lambda x: F.min_pool2d(x, 3, 2, ((1, 0), (0, 1))),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg_pool2d same_lower": lambda x: F.avg_pool2d(x, 2, 1, "same_lower"),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_do_not_depend_on_the_layout(name: str, layout: str) -> None:
    strange, values = laid_out(layout, integers(1, (2, 4, 6, 5)))
    gradients = []
    for x in (strange.requires_grad_(), tensor(values).requires_grad_()):
        y = EVERY[name](x)
        dy = laid_out(layout, integers(2, tuple(y.shape)))[0]
        (dx,) = torch.autograd.grad(y, x, dy, create_graph=True)
        assert dx.shape == x.shape
        gradients.append(dx.detach())
    assert torch.equal(*gradients)
