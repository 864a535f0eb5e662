"""Where kernels end and torch's operators take over: strange numbers, sizes and tensors."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from faltung import functional as F
from faltung.errors import ArgumentError

INF, NAN = float("inf"), float("nan")
TORCH = torch.nn.functional


@pytest.fixture(params=["highest", "high"])
def precision(request: pytest.FixtureRequest) -> object:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(request.param)
    yield request.param
    torch.set_float32_matmul_precision(before)


def assert_strange_alike(y: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> None:
    truth = TORCH.conv2d(x.double(), w.double())
    assert torch.equal(y.isnan(), truth.isnan())
    assert torch.equal(y.isinf(), truth.isinf())


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("place", list(itertools.product(range(6), range(0, 6, 2))))
def test_a_nan_stays_in_its_windows_wherever_in_a_tile_it_is(place: tuple[int, int]) -> None:
    x, w = torch.ones(2, 32, 16, 16), torch.ones(32, 32, 3, 3)
    x[1, 0, 4 + place[0], 4 + place[1]] = NAN
    assert_strange_alike(F.conv2d(x, w), x, w)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("second", [NAN, 1.0])
def test_what_follows_an_infinity_does_not_hide_it(second: float) -> None:
    x, w = torch.ones(1, 32, 16, 16), torch.ones(32, 32, 3, 3)
    x[0, 0, 4, 4], x[0, 0, 4, 9] = INF, second
    assert_strange_alike(F.conv2d(x, w), x, w)


def test_a_strange_weight_stays_in_its_channel() -> None:
    x, w = torch.ones(1, 32, 16, 16), torch.ones(64, 32, 3, 3)
    w[0, 0, 1, 1], w[8, 1, 0, 0] = INF, NAN
    assert_strange_alike(F.conv2d(x, w), x, w)


def test_numbers_that_would_overflow_in_a_transform_do_not() -> None:
    x, w = torch.full((1, 32, 12, 12), 1e30), torch.full((32, 32, 3, 3), 1e5)
    torch.testing.assert_close(F.conv2d(x, w), TORCH.conv2d(x.double(), w.double()).float())


def test_freed_storage_is_torchs_error() -> None:
    x, w = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    F.conv2d(x, w)
    freed = x.clone()
    freed.untyped_storage().resize_(0)
    calls: list[Callable[[], Any]] = [lambda: F.conv2d(freed, w), lambda: F.max_pool2d(freed, 2)]
    for call in calls:
        with pytest.raises(RuntimeError, match="not allocated"):
            call()


def test_zeros_without_memory_are_zeros() -> None:
    x, w = torch._efficientzerotensor((2, 3, 8, 8)), torch.randn(4, 3, 3, 3)
    F.conv2d(torch.randn(2, 3, 8, 8), w)
    assert torch.count_nonzero(F.conv2d(x, w)) == 0


def test_batched_gradients_pass_through_a_foreign_function() -> None:
    class Foreign(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(w)
            return TORCH.conv2d(x, w)

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            (w,) = ctx.saved_tensors
            return F.conv2d(dy, w.transpose(0, 1), padding=2, flip=True), None

    x, w = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(4, 3, 3, 3)
    y: torch.Tensor = Foreign.apply(x, w)  # type: ignore[no-untyped-call]
    (once,) = torch.autograd.grad(y, x, torch.ones_like(y), retain_graph=True)
    ones = torch.ones(5, *y.shape)
    (batch,) = torch.autograd.grad(y, x, ones, is_grads_batched=True)
    torch.testing.assert_close(batch[3], once)


def test_torchs_newer_precision_settings_are_no_obstacle() -> None:
    x, w = torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3)
    expected = F.conv2d(x, w)
    settings: Any = torch.backends.mkldnn
    before = settings.matmul.fp32_precision
    try:
        settings.matmul.fp32_precision = "bf16"
        for _ in range(2):
            torch.testing.assert_close(F.conv2d(x, w), expected)
            F.max_pool2d(x, 2)
    finally:
        settings.matmul.fp32_precision = before


@pytest.mark.parametrize("size", [70, 4096])
def test_huge_windows_of_pools_are_torchs(size: int) -> None:
    x = torch.randn(1, 4, 8, 8)
    ours = F.max_pool2d(x, size, size // 2, size // 2)
    assert torch.equal(ours, TORCH.max_pool2d(x, size, size // 2, size // 2))
    ours = F.avg_pool2d(x, size, size // 2, size // 2)
    torch.testing.assert_close(ours, TORCH.avg_pool2d(x, size, size // 2, size // 2))


def test_panels_out_of_proportion_are_torchs() -> None:
    x, w = torch.randn(1, 8, 3, 3), torch.randn(8, 4, 3, 3)
    far = 2048
    y = F.conv_transpose2d(x, w, dilation=far)
    torch.testing.assert_close(y, TORCH.conv_transpose2d(x, w, dilation=far))
    x, w = torch.randn(1, 4, 8, 8), torch.randn(8, 4, 3, 3)
    y = F.conv2d(x, w, padding=2**20, dilation=2**20)
    torch.testing.assert_close(y, TORCH.conv2d(x, w, padding=2**20, dilation=2**20))


def test_errors_do_not_depend_on_what_was_called_before() -> None:
    x, w = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    for _ in range(2):
        F.conv2d(x, w, stride=1)
        with pytest.raises(ArgumentError, match=r"stride is 1\.0"):
            F.conv2d(x, w, stride=1.0)  # type: ignore[arg-type]
        F.max_pool2d(x, 2)
        with pytest.raises(ArgumentError, match=r"kernel_size is 2\.0"):
            F.max_pool2d(x, 2.0)  # type: ignore[call-overload]
