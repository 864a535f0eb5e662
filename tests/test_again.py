"""Torch's operators that were called before: a look-up that notices whatever matters."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor, nn

import faltung
from convolving import whole
from faltung import switch
from faltung.ops import again, last, ours, seam


@pytest.fixture(params=["guards", "keys"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find calls by torch's guards, and by keys alone as where torch has none."""
    if request.param == "keys":
        monkeypatch.setattr(last, "_Guard", None)


@pytest.fixture
def checked(anew: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Note every call whose arguments are checked, while the switch is on."""
    found: list[Any] = []

    def noting(check: Callable[..., Any]) -> Callable[..., Any]:
        def checks(*arguments: Any) -> Any:
            found.append(arguments)
            return check(*arguments)

        return checks

    for name in ("_convolved", "_pooled"):
        monkeypatch.setattr(switch, name, noting(getattr(switch, name)))
    with faltung.enabled():
        yield found


X, W, B = whole(1, (2, 6, 9, 8)), whole(1, (4, 6, 3, 3)), whole(1, (4,))
TURNED = W.transpose(0, 1)
DY = whole(1, (2, 4, 7, 6))
AT = torch.stack([torch.randperm(9 * 8)[:16].view(4, 4) for _ in range(12)]).view(2, 6, 4, 4)


def back(mask: list[bool], *tensors: Tensor, transposed: bool = False) -> Any:
    """Return the gradients of a convolution, asked for as autograd does."""
    dy, x, w = tensors or (DY, X, W)
    rest = ([w.shape[0]], [1, 1], [0, 0], [1, 1], transposed, [0, 0], 1, mask)
    return torch.ops.aten.convolution_backward(dy, x, w, *rest)


SMALL = X[:, :, :4, :4].contiguous()


def scattered(dy: Tensor, at: Tensor) -> Any:
    """Return the gradient of maxima of 2x2."""
    backward = torch.ops.aten.max_pool2d_with_indices_backward
    return backward(dy, X, [2, 2], [2, 2], [0, 0], [1, 1], False, at)


def spread(divisor: int | None) -> Any:
    """Return the gradient of means of 2x2."""
    backward = torch.ops.aten.avg_pool2d_backward
    return backward(SMALL, X, [2, 2], [2, 2], [0, 0], False, True, divisor)


CALLS: dict[str, Callable[[], Any]] = {
    "plain": lambda: tf.conv2d(X, W),
    "bias": lambda: tf.conv2d(X, W, B),
    "stride": lambda: tf.conv2d(X, W, None, 2),
    "padding": lambda: tf.conv2d(X, W, None, 1, (2, 1)),
    "dilation": lambda: tf.conv2d(X, W, None, 1, 0, (1, 2)),
    "groups": lambda: tf.conv2d(X, W[:, :3].contiguous(), None, groups=2),
    "channels_last": lambda: tf.conv2d(X.contiguous(memory_format=torch.channels_last), W),
    "rows apart": lambda: tf.conv2d(X[:, :, ::2], W),
    "bfloat16": lambda: tf.conv2d(X.bfloat16(), W.bfloat16()),
    "one image": lambda: tf.conv2d(X[:1], W),
    "turned weight": lambda: tf.conv2d(X, W.transpose(2, 3)),
    "strided bias": lambda: tf.conv2d(X, W, whole(1, (8,))[::2]),
    "transposed": lambda: tf.conv_transpose2d(X, TURNED),
    "transposed, bias": lambda: tf.conv_transpose2d(X, TURNED, B),
    "transposed, wider": lambda: tf.conv_transpose2d(X, TURNED, None, 2, output_padding=1),
    "gradients": lambda: back([True, True, True]),
    "gradients of input": lambda: back([True, False, False]),
    "gradients of weight": lambda: back([False, True, False]),
    "gradients of input and bias": lambda: back([True, False, True])[::2],
    "gradients, transposed": lambda: back([True, True, True], X, DY, W, transposed=True),
    "gradients, one sum": lambda: back(
        [True, True, True], DY[:1, :, :1, :1].expand(DY.shape), X, W
    ),
    "maxima": lambda: tf.max_pool2d(X, 2, return_indices=True),
    "maxima, 3": lambda: tf.max_pool2d(X, 3, return_indices=True),
    "maxima, every second": lambda: tf.max_pool2d(X, 3, 2, return_indices=True),
    "maxima, padding": lambda: tf.max_pool2d(X, 3, 2, 1, return_indices=True),
    "maxima, dilation": lambda: tf.max_pool2d(X, 3, 2, 0, 2, return_indices=True),
    "maxima, ceil": lambda: tf.max_pool2d(X, 2, ceil_mode=True, return_indices=True),
    "maxima, rows apart": lambda: tf.max_pool2d(X[:, :, ::2], 2, return_indices=True),
    "means": lambda: tf.avg_pool2d(X, 2),
    "means, padding": lambda: tf.avg_pool2d(X, 3, 2, 1),
    "means, inside": lambda: tf.avg_pool2d(X, 3, 2, 1, count_include_pad=False),
    "means, divisor": lambda: tf.avg_pool2d(X, 3, 2, 1, divisor_override=4),
    "gradient of maxima": lambda: scattered(SMALL, AT),
    "gradient of maxima elsewhere": lambda: scattered(SMALL, 71 - AT),
    "gradient of maxima, rows apart": lambda: scattered(X[:, :, :4, :4], AT),
    "gradient of means": lambda: spread(None),
    "gradient of means, divisor": lambda: spread(8),
}
COPIED = {"strided bias", "gradient of maxima, rows apart"}  # a kernel cannot read them as they are
CALLED = {  # one call of each operator, and the operations that compute it
    "plain": ["conv2d"],
    "transposed": ["conv2d_input_gradient"],
    "gradients": ["conv2d_input_gradient", "conv2d_weight_gradient"],
    "gradients, transposed": ["conv2d", "conv2d_weight_gradient"],
    "maxima": ["max_pool2d"],
    "gradient of maxima": ["extreme_pool2d_gradient"],
    "means": ["avg_pool2d"],
    "gradient of means": ["avg_pool2d_gradient"],
}


def same(a: Any, b: Any) -> bool:
    """Say whether results, or tuples of them and None, are bit for bit the same."""
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a is b if a is None or b is None else torch.equal(a, b)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_looked_up_is_what_was_asked(name: str, checked: list[Any]) -> None:
    switch.disable()
    expected = {other: call() for other, call in CALLS.items()}
    switch.enable()
    for _ in range(2):
        assert same(CALLS[name](), expected[name])
    assert len(checked) == 2 - (name not in COPIED)
    for other, call in CALLS.items():
        assert same(call(), expected[other]), other


def test_new_numbers_in_the_same_tensors(checked: list[Any]) -> None:
    x, w = X.clone(), W.clone()
    before = tf.conv2d(x, w)
    w *= 2
    assert torch.equal(tf.conv2d(x, w), 2 * before)
    x.neg_()
    assert torch.equal(tf.conv2d(x, w), -2 * before)
    assert len(checked) == 1


def test_gradients_of_what_is_looked_up(checked: list[Any]) -> None:
    layer = nn.Conv2d(6, 4, 3, padding=1)
    found = []
    for _ in range(2):
        layer.zero_grad()
        layer(X).square().sum().backward()
        assert layer.weight.grad is not None
        found.append(layer.weight.grad.clone())
    assert torch.equal(*found)
    forward = [a for a in checked if a[2][:2] == [[1, 1], [1, 1]] and a[0] is X]
    assert len(forward) == 2  # once forward, and once back


@pytest.mark.parametrize("name", CALLED)
def test_a_setting_that_matters_is_part_of_the_look_up(name: str, checked: list[Any]) -> None:
    call, threads = CALLS[name], torch.get_num_threads()
    for _ in range(4):
        call()
    assert len(checked) == 1
    if "m" not in name:  # pools compute the same whatever float32 means
        with faltung.precision("high"):
            call()
        assert len(checked) == 2
    before = len(checked)
    torch.set_num_threads(threads % 2 + 1)
    try:
        call()
    finally:
        torch.set_num_threads(threads)
    assert len(checked) == before + 1
    call()
    assert len(checked) == before + 1


@pytest.mark.parametrize("name", CALLED)
def test_a_guard_finds_what_comes_again(
    name: str, checked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if last._Guard is None:
        pytest.skip("without guards there are keys only")
    expected = [CALLS[name]() for _ in range(3)]
    monkeypatch.setattr(again, "_key", lambda *_: pytest.fail("not by a guard"))
    assert same(CALLS[name](), expected[0])


def test_guards_are_made_for_what_comes_again_and_not_forever(
    checked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if last._Guard is None:
        pytest.skip("without guards there are none to count")
    made: list[Any] = []
    guard = last._Guard

    def counted(*tensors: Tensor, **rest: Any) -> Any:
        made.append(tensors)
        return guard(*tensors, **rest)

    monkeypatch.setattr(last, "_Guard", counted)
    weights = [W.clone() for _ in range(5)]
    for w in weights:
        tf.conv2d(X, w)
    assert len(made) == 1  # of the problem, which came again; of no layer
    for _ in range(20):
        for padding in (0, 1):
            tf.conv2d(X, W, None, 1, padding)
    assert len(made) == 2 + last.MOST  # another problem, and the layer


class Marked(Tensor):
    """A tensor of a kind of its own."""


def test_other_kinds_of_tensors_are_not_looked_up(
    checked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        expected = tf.conv2d(X, W)
    monkeypatch.setattr(ours, "run", lambda *_: pytest.fail("our kernel runs"))
    assert torch.equal(tf.conv2d(X.as_subclass(Marked), W), expected)
    with pytest.raises(pytest.fail.Exception, match="our kernel runs"):
        tf.conv2d(X, W)


@pytest.mark.parametrize("name", CALLED)
def test_another_kernel_is_not_looked_up(name: str, checked: list[Any]) -> None:
    expected = CALLS[name]()
    for operation in CALLED[name]:
        kernel = seam._ours[operation]
        seam.set_ours(operation, lambda *_: pytest.fail("it runs"))
        try:
            with pytest.raises(pytest.fail.Exception, match="it runs"):
                CALLS[name]()
        finally:
            seam.set_ours(operation, kernel)
    assert same(CALLS[name](), expected)


def test_weights_that_a_kernel_does_not_treat(checked: list[Any]) -> None:
    w = W.clone()
    for _ in range(2):
        assert same(back([True, True, True], DY, X, w), CALLS["gradients"]())
    assert len(checked) == 1
    w[0, 0, 0, 0] = float("inf")
    found = back([True, True, True], DY, X, w)
    assert len(checked) == 2
    switch.disable()
    for mine, theirs in zip(found, back([True, True, True], DY, X, w), strict=True):
        torch.testing.assert_close(mine, theirs, equal_nan=True)
    switch.enable()


def test_errors_after_a_call_that_was_right(checked: list[Any]) -> None:
    tf.conv2d(X, W)
    with pytest.raises(RuntimeError, match="to have 6 channels, but got 5"):
        tf.conv2d(X[:, :5], W)
    with pytest.raises(RuntimeError, match="expected scalar type"):
        tf.conv2d(X.double(), W)
