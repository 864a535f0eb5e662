"""The short way of a call: the same result, seen by whoever watches, forgotten when it must be."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from convolving import whole
from faltung import functional as F
from faltung.errors import ArgumentError, ShapeError
from faltung.functional import checks
from faltung.ops import conv2d as operator
from faltung.ops import convolution, last, memo, ours_pooling, quick, replays, seam

CALLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "conv2d": lambda x: F.conv2d(x, torch.ones(4, 3, 3, 3).to(x), None, 2, "same"),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, torch.ones(3, 2, 3, 3).to(x), stride=2),
    "max_pool2d": lambda x: F.max_pool2d(x, 2, padding=((1, 0), (0, 1))),
    "min_pool2d": lambda x: F.min_pool2d(x, 3, 1),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2, ceil_mode=True),
}


class Seen(TorchDispatchMode):
    """Notes which operators run."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True, params=["guards", "no guards"])
def ways(anew: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if request.param == "no guards":  # as of a torch that has none
        monkeypatch.setattr(last, "_Guard", None)


@pytest.mark.parametrize("name", CALLS)
def test_the_second_call_computes_on_its_own_numbers(name: str) -> None:
    first, second = torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 8)
    CALLS[name](first)
    expected = CALLS[name](second.double())
    torch.testing.assert_close(CALLS[name](second), expected.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_flow_on_the_second_call(name: str) -> None:
    x = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    CALLS[name](x)
    wanted = x.clone().requires_grad_()
    CALLS[name](wanted).square().sum().backward()
    truth = x.double().requires_grad_()
    CALLS[name](truth).square().sum().backward()
    assert wanted.grad is not None
    assert truth.grad is not None
    torch.testing.assert_close(wanted.grad, truth.grad.float(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "avg_pool2d"])
def test_whoever_watches_sees_the_operator(name: str) -> None:
    x = torch.randn(2, 3, 9, 8)
    CALLS[name](x)
    with Seen() as seen:
        CALLS[name](x)
    assert any(operator.startswith(f"faltung.{name}") for operator in seen.names)


def test_checks_are_made_again_for_another_shape() -> None:
    w = torch.ones(4, 3, 3, 3)
    F.conv2d(torch.randn(2, 3, 9, 8), w)
    with pytest.raises(ShapeError, match="weight has 3 input channels but input has 2"):
        F.conv2d(torch.randn(2, 2, 9, 8), w)
    with pytest.raises(ShapeError, match="window"):
        F.conv2d(torch.randn(2, 3, 2, 8), w)


def test_a_kernel_that_was_taken_away_runs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    expected = F.conv2d(x, w)
    monkeypatch.setitem(seam._ours, "conv2d", lambda *_: torch.zeros(1))
    assert F.conv2d(x, w).shape == (1,)
    monkeypatch.delitem(seam._ours, "conv2d")
    torch.testing.assert_close(F.conv2d(x, w), expected)


def test_a_look_at_the_weight_finds_its_last_call(monkeypatch: pytest.MonkeyPatch) -> None:
    if last._Guard is None:
        pytest.skip("this torch has no guards")
    x, w = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    expected = [F.conv2d(x, w, None, stride) for stride in (1, 1, 2, 2, (1, 2), 1)]
    monkeypatch.setattr(quick, "_conv_key", lambda *_: None)
    assert torch.equal(F.conv2d(x.clone(), w, None, 1), expected[0])
    monkeypatch.setattr(F.convolution, "checked", lambda *_: pytest.fail("not the last call"))
    for other in (x[:1], x[:, :, 1:], x.double(), x.clone().requires_grad_(), x[..., :-1], x.mT):
        with pytest.raises(pytest.fail.Exception, match="not the last call"):
            F.conv2d(other, w, None, 1)


def test_arguments_that_are_equal_and_not_the_same() -> None:
    x, w = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    for _ in range(2):
        F.conv2d(x, w, None, 1)
        with pytest.raises(ArgumentError, match="stride"):
            F.conv2d(x, w, None, 1.0)  # type: ignore[arg-type]


def test_threads_and_precision_are_part_of_what_is_remembered() -> None:
    x, w = torch.randn(1, 64, 16, 16), torch.randn(64, 64, 3, 3) / 24
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    expected = torch.nn.functional.conv2d(x.double(), w.double()).float()
    try:
        for count in (1, 2):
            for asked in ("highest", "high"):
                torch.set_num_threads(count)
                torch.set_float32_matmul_precision(asked)
                torch.testing.assert_close(F.conv2d(x, w), expected, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)
    assert len(quick._convolutions) == 4


def test_formats_types_and_biases_are_told_apart() -> None:
    x, w = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    for bias in (None, torch.randn(4), torch.randn(8)[::2]):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            for form in (torch.contiguous_format, torch.channels_last):
                a, b = x.to(dtype).contiguous(memory_format=form), w.to(dtype)
                c = None if bias is None else bias.to(dtype)
                for _ in range(2):
                    y = F.conv2d(a, b, c)
                    assert y.is_contiguous(memory_format=form)
                    truth = torch.nn.functional.conv2d(a.double(), b.double(), _double(c))
                    torch.testing.assert_close(y.double(), truth, rtol=0.02, atol=0.05)


def _double(x: torch.Tensor | None) -> torch.Tensor | None:
    return None if x is None else x.double()


def test_lists_as_arguments_take_the_long_way() -> None:
    x, w = torch.randn(2, 3, 9, 8), torch.randn(4, 3, 3, 3)
    for _ in range(2):
        torch.testing.assert_close(
            F.conv2d(x, w, None, [2, 1]), torch.nn.functional.conv2d(x, w, None, [2, 1])
        )
    assert not quick._convolutions


def test_views_that_are_negated_lazily_keep_their_sign() -> None:
    z = torch.randn(2, 3, 9, 8, dtype=torch.complex64)
    w = torch.randn(4, 3, 3, 3)
    negated = torch._neg_view(z.imag)
    plain = negated.clone()
    F.conv2d(z.imag, w)
    for _ in range(2):
        torch.testing.assert_close(F.conv2d(negated, w), F.conv2d(plain, w))


def test_what_is_remembered_stays_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "LIMIT", 2)
    w = torch.randn(1, 1, 2, 2)
    for size in range(3, 8):
        F.conv2d(torch.randn(1, 1, size, size), w)
        F.max_pool2d(torch.randn(1, 1, size, size), 2)
        assert max(map(len, memo.Memo.every)) == 2


@pytest.mark.parametrize("kind", ["max", "min"])
def test_pools_have_a_short_way_in_each_memory_format(kind: str) -> None:
    pool, written = getattr(F, f"{kind}_pool2d"), (3, 2, 1, 1, False)
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(2, 5, 9, 8).contiguous(memory_format=layout)
        expected = pool(x, *written)
        found = quick.pool(f"{kind}_pool2d", x, written)
        assert found is not None
        assert torch.equal(found, expected)
        assert found.stride() == expected.stride()


def test_layers_are_copied_and_still_compute() -> None:
    from faltung import nn

    layer = nn.Conv2d(3, 4, 3)
    x = torch.randn(2, 3, 9, 8)
    with torch.inference_mode():
        expected = layer(x)
        twin = copy.deepcopy(layer)
        torch.testing.assert_close(twin(x), expected)
        twin.weight.data.mul_(2)
        twin.bias.data.mul_(2)  # type: ignore[union-attr]
        torch.testing.assert_close(twin(x), 2 * expected)


def test_arguments_that_may_change_are_read_at_every_call() -> None:
    x, w = torch.randn(1, 1, 9, 9), torch.randn(1, 1, 3, 3)
    step: Any = torch.tensor(1)
    for stride, size in ((1, 7), (2, 4), (1, 7)):
        step.fill_(stride)
        assert F.conv2d(x, w, None, step).shape[2] == size
        assert F.max_pool2d(x, 3, step).shape[2] == size
        assert F.avg_pool2d(x, 3, step).shape[2] == size


def test_views_of_freed_storage_are_refused_as_torch_does() -> None:
    base = torch.zeros(100_000)
    view, w = base[4096 : 4096 + 64].view(1, 1, 8, 8), torch.ones(1, 1, 3, 3)
    calls: list[Callable[[], object]] = [
        lambda: F.conv2d(view, w),
        lambda: F.max_pool2d(view, 2),
        lambda: F.avg_pool2d(view, 2),
    ]
    for call in calls:
        call()
        call()
    base.untyped_storage().resize_(0)
    for call in calls:
        with pytest.raises(RuntimeError):
            call()


@pytest.mark.parametrize("wanted", ["xwb", "x", "w", "b", "xw", "wb", "xb"])
def test_gradients_that_come_again(wanted: str) -> None:
    w = whole(0, (4, 3, 3, 3))
    for seed in range(5):
        given = {"x": whole(seed, (2, 3, 9, 8)), "w": w, "b": whole(seed, (4,))}
        dy = whole(seed + 9, (2, 4, 5, 4))
        found = []
        for kind in (torch.float32, torch.float64):
            # The weight is the same tensor each time, as a layer's is.
            leaves = {k: v.to(kind).requires_grad_(k in wanted) for k, v in given.items()}
            y = F.conv2d(leaves["x"], leaves["w"], leaves["b"], 2, "same")
            found.append(torch.autograd.grad(y, [leaves[k] for k in wanted], dy.to(kind)))
        w.requires_grad_(False)
        for ours, truth in zip(*found, strict=True):
            assert torch.equal(ours.double(), truth)


@pytest.fixture
def layer(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[torch.Tensor, torch.Tensor, Callable[[], torch.Tensor]]:
    """Return an input, a weight, and their convolution, whose gradients are a look-up by now."""
    x, w, dy = whole(0, (2, 3, 9, 8)), whole(0, (4, 3, 3, 3)), whole(0, (2, 4, 7, 6))
    x.requires_grad_()
    w.requires_grad_()
    for _ in range(4):
        F.conv2d(x, w).backward(dy)
        F.conv2d(x, w).sum().backward()
    with monkeypatch.context() as patch:
        patch.setattr(convolution, "conv2d_weight_gradient", lambda *_: pytest.fail("no look-up"))
        F.conv2d(x, w).backward(dy)
        F.conv2d(x, w).sum().backward()
    x.grad = w.grad = None
    return x, w, lambda: F.conv2d(x, w)


Layer = tuple[torch.Tensor, torch.Tensor, Callable[[], torch.Tensor]]


def test_whoever_watches_sees_gradients_that_come_again(layer: Layer) -> None:
    *_, call = layer
    y = call()
    with Seen() as seen:
        y.sum().backward()
    assert {"faltung.conv2d_input_gradient.default", "faltung.conv2d_weight_gradient.default"} <= {
        *seen.names
    }


def test_gradients_that_come_again_have_gradients(layer: Layer) -> None:
    x, w, call = layer
    dy = whole(1, (2, 4, 7, 6)).requires_grad_()
    first, second = torch.autograd.grad(call(), (x, w), dy, create_graph=True)
    found = torch.autograd.grad(first.square().sum() + second.square().sum(), (x, w, dy))
    a, b, c = (t.detach().double().requires_grad_() for t in (x, w, dy))
    y = torch.nn.functional.conv2d(a, b)
    first, second = torch.autograd.grad(y, (a, b), c, create_graph=True)
    truth = torch.autograd.grad(first.square().sum() + second.square().sum(), (a, b, c))
    for ours, theirs in zip(found, truth, strict=True):
        torch.testing.assert_close(ours.double(), theirs)


def test_batches_of_gradients_that_come_again(layer: Layer) -> None:
    x, w, call = layer
    several = whole(2, (3, 2, 4, 7, 6))
    found = torch.autograd.grad(call(), (x, w), several, is_grads_batched=True)
    for i, dy in enumerate(several):
        for batch, alone in zip(found, torch.autograd.grad(call(), (x, w), dy), strict=True):
            assert torch.equal(batch[i], alone)


@pytest.mark.parametrize("operation", ["conv2d_input_gradient", "conv2d_weight_gradient"])
def test_gradients_of_a_kernel_that_was_taken_away(
    layer: Layer, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    x, w, call = layer
    shapes = (torch.zeros_like(x), (torch.zeros_like(w), torch.zeros(0)))
    monkeypatch.setitem(
        seam._ours, operation, lambda *_: shapes[operation == "conv2d_weight_gradient"]
    )
    found = torch.autograd.grad(call().sum(), (x, w))
    assert [bool(t.any()) for t in found] == [
        operation != "conv2d_input_gradient",
        operation != "conv2d_weight_gradient",
    ]


@pytest.mark.parametrize("name", ["max_pool2d", "min_pool2d", "avg_pool2d"])
def test_pools_with_and_without_gradients_in_turn(name: str) -> None:
    for seed in range(4):
        x = whole(seed, (2, 3, 9, 8))
        wanted, truth = x.clone().requires_grad_(), x.double().requires_grad_()
        assert not CALLS[name](x).requires_grad
        for leaf in (wanted, truth):
            CALLS[name](leaf).sum().backward()
        with torch.no_grad():
            assert torch.equal(CALLS[name](wanted), CALLS[name](x))
        assert wanted.grad is not None
        assert truth.grad is not None
        assert torch.equal(wanted.grad.double(), truth.grad)


@pytest.mark.parametrize("first", ["x", "w", "xw"])
def test_gradients_that_are_wanted_in_turn(first: str) -> None:
    leaves = {
        "x": whole(0, (2, 3, 9, 8)).requires_grad_(),
        "w": whole(0, (4, 3, 3, 3)).requires_grad_(),
    }
    dy = whole(3, (2, 4, 7, 6))
    y = torch.nn.functional.conv2d(leaves["x"], leaves["w"])
    truth = dict(zip("xw", torch.autograd.grad(y, [*leaves.values()], dy), strict=True))
    for wanted in [*[first] * 4, *["x", "w", "xw"] * 2]:
        for name, leaf in leaves.items():
            leaf.requires_grad_(name in wanted)
        y = F.conv2d(leaves["x"], leaves["w"])
        found = torch.autograd.grad(y, [leaves[name] for name in wanted], dy)
        for name, gradient in zip(wanted, found, strict=True):
            assert torch.equal(gradient, truth[name])


def test_lists_that_are_changed_after_a_call() -> None:
    x, w = whole(0, (1, 1, 6, 9)).requires_grad_(), whole(0, (1, 1, 3, 3)).requires_grad_()
    padding, dilation = [1] * 4, [1, 1]
    dy = whole(1, (1, 1, 6, 9))
    for by in (1, 1, 1, 1, 2, 2, 1):
        padding[:], dilation[:] = [by] * 4, [by, by]  # the result keeps its size
        y = operator(x, w, None, [1, 1], padding, dilation, 1, False)
        theirs = torch.nn.functional.conv2d(x, w, None, 1, by, by)
        assert torch.equal(y, theirs)
        truth = torch.autograd.grad(theirs, (x, w), dy)
        for found, other in zip(torch.autograd.grad(y, (x, w), dy), truth, strict=True):
            assert torch.equal(found, other)


def test_gradients_that_torch_computes_are_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = whole(0, (2, 3, 9, 8)).requires_grad_(), whole(0, (4, 3, 3, 3)).requires_grad_()
    planned: list[Any] = []
    monkeypatch.setattr(replays, "gradients", lambda *arguments: planned.append(arguments))
    truth = torch.autograd.grad(torch.nn.functional.conv2d(x, w).sum(), (x, w))
    for _ in range(4):
        for found, theirs in zip(
            torch.autograd.grad(F.conv2d(x, w).sum(), (x, w)), truth, strict=True
        ):
            assert torch.equal(found, theirs)
    assert len(planned) == 1


@pytest.mark.parametrize("name", ["max_pool2d", "min_pool2d", "avg_pool2d"])
def test_a_pool_that_was_taken_away_runs_no_more(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = whole(0, (2, 3, 9, 8))
    for _ in range(4):
        CALLS[name](x)
    for values in (name, f"{name}_values"):
        monkeypatch.setitem(seam._ours, values, lambda *_: torch.full((1,), 99.0))
    assert CALLS[name](x).item() == 99


@pytest.mark.parametrize("pool", [F.max_pool2d, F.min_pool2d, F.avg_pool2d])
def test_arguments_of_pools_that_are_equal_and_not_the_same(pool: Any) -> None:
    x = whole(0, (2, 3, 9, 8))
    for _ in range(4):
        pool(x, 2)
        with pytest.raises(ArgumentError, match="kernel_size"):
            pool(x, 2.0)


def test_a_pool_is_planned_for_whoever_wants_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    x = whole(0, (2, 3, 9, 8))
    F.max_pool2d(x, 2)
    monkeypatch.setattr(checks, "image", lambda *_: pytest.fail("not looked up"))
    monkeypatch.setattr(ours_pooling, "known_extreme", lambda *_: pytest.fail("not planned"))
    assert torch.equal(F.max_pool2d(x, 2), torch.nn.functional.max_pool2d(x, 2))
