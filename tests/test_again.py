"""Torch's convolutions that were called before: a look-up that notices whatever matters."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor, nn

import faltung
from faltung import switch
from faltung.ops import seam


@pytest.fixture
def checked(anew: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Note every call whose arguments are checked, while the switch is on."""
    found: list[Any] = []

    def checks(*arguments: Any) -> Any:
        found.append(arguments)
        return check(*arguments)

    check = switch._convolved
    monkeypatch.setattr(switch, "_convolved", checks)
    with faltung.enabled():
        yield found


def numbers(*shape: int) -> Tensor:
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(1)).float()


X, W, B = numbers(2, 6, 9, 8), numbers(4, 6, 3, 3), numbers(4)
CALLS: dict[str, Callable[[], Tensor]] = {
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
    "strided bias": lambda: tf.conv2d(X, W, numbers(8)[::2]),
    "transposed": lambda: tf.conv_transpose2d(X, W.transpose(0, 1)),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_looked_up_is_what_was_asked(name: str, checked: list[Any]) -> None:
    switch.disable()
    expected = {other: call() for other, call in CALLS.items()}
    switch.enable()
    for _ in range(2):
        assert torch.equal(CALLS[name](), expected[name])
    once = name not in {"strided bias", "transposed"}
    assert len(checked) == 2 - once
    for other, call in CALLS.items():
        assert torch.equal(call(), expected[other]), other


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
    assert len(forward) <= 3  # once forward, and at each of two ways back


def test_a_setting_that_matters_is_part_of_the_look_up(checked: list[Any]) -> None:
    tf.conv2d(X, W)
    threads = torch.get_num_threads()
    with faltung.precision("high"):
        tf.conv2d(X, W)
    torch.set_num_threads(threads % 2 + 1)
    try:
        tf.conv2d(X, W)
    finally:
        torch.set_num_threads(threads)
    assert len(checked) == 3


def test_another_kernel_is_not_looked_up(checked: list[Any]) -> None:
    expected = tf.conv2d(X, W)
    kernel = seam.implementation("conv2d")
    seam.set_ours("conv2d", lambda *_: torch.zeros(()))
    try:
        assert tf.conv2d(X, W).shape == ()
    finally:
        seam.set_ours("conv2d", kernel)
    assert torch.equal(tf.conv2d(X, W), expected)


def test_errors_after_a_call_that_was_right(checked: list[Any]) -> None:
    tf.conv2d(X, W)
    with pytest.raises(RuntimeError, match="to have 6 channels, but got 5"):
        tf.conv2d(X[:, :5], W)
    with pytest.raises(RuntimeError, match="expected scalar type"):
        tf.conv2d(X.double(), W)
