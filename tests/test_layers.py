"""The layers as drop-ins: state dicts, copies, autocast, formats, padding modes, training."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung import functional as F
from faltung import nn

PAIRS: dict[str, tuple[Callable[[], torch.nn.Module], Callable[[], torch.nn.Module]]] = {
    "Conv2d": (
        lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2),
        lambda: torch.nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2),
    ),
    "Conv2d same": (
        lambda: nn.Conv2d(4, 6, 3, padding="same", bias=False),
        lambda: torch.nn.Conv2d(4, 6, 3, padding="same", bias=False),
    ),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, 2),
        lambda: torch.nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, True, 2),
    ),
    "MaxPool2d": (
        lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        lambda: torch.nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    ),
    "AvgPool2d": (
        lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        lambda: torch.nn.AvgPool2d(3, 2, 1, count_include_pad=False),
    ),
}
OURS: dict[str, Callable[[], torch.nn.Module]] = {
    **{name: ours for name, (ours, _) in PAIRS.items()},
    "Conv2d flip": lambda: nn.Conv2d(4, 6, 2, 2, "same_lower", flip=True),
    "Conv2d sides": lambda: nn.Conv2d(4, 6, 3, padding=((1, 0), (0, 2))),
    "ConvTranspose2d same": lambda: nn.ConvTranspose2d(4, 6, 3, 2, "same", flip=True),
    "MinPool2d": lambda: nn.MinPool2d(3, 2, ((1, 0), (0, 1))),
    "LocallyConnected2d": lambda: nn.LocallyConnected2d(4, 6, (8, 7), 3, 2, 1),
}


def images(*shape: int) -> Tensor:
    """Return reproducible random images, of 8 x 7 and 4 channels unless told otherwise."""
    return torch.randn(shape or (2, 4, 8, 7), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PAIRS)
def test_it_is_torchs_class_with_torchs_state_and_result(name: str) -> None:
    ours, theirs = (make() for make in PAIRS[name])
    assert isinstance(ours, type(theirs))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    torch.testing.assert_close(ours(images()), theirs(images()))
    fresh, other = (make() for make in PAIRS[name])
    other.load_state_dict(fresh.state_dict(), strict=True)
    torch.testing.assert_close(fresh(images()), other(images()))


@pytest.mark.parametrize("name", PAIRS)
def test_it_starts_with_torchs_weights(name: str) -> None:
    states = []
    for make in PAIRS[name]:
        torch.manual_seed(3)
        states.append(make().state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", PAIRS)
def test_it_describes_itself_as_torchs_does(name: str) -> None:
    ours, theirs = (make() for make in PAIRS[name])
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv2d(1, 2, 3, flip=True), ["flip=True"]),
        (nn.Conv2d(1, 2, 3, padding=((1, 0), (0, 2))), ["padding=((1, 0), (0, 2))"]),
        (nn.Conv2d(1, 2, 3, 2, "same_lower"), ["padding=same_lower", "stride=(2, 2)"]),
        (nn.ConvTranspose2d(1, 2, 3, padding="same", flip=True), ["padding=same", "flip=True"]),
        (nn.MinPool2d(2), ["kernel_size=2", "stride=2", "padding=0"]),
        (nn.LocallyConnected2d(1, 2, 5, 3), ["1, 2", "input_size=(5, 5)", "kernel_size=(3, 3)"]),
    ],
    ids=str,
)
def test_what_torch_lacks_is_in_the_description(layer: torch.nn.Module, words: list[str]) -> None:
    assert all(word in repr(layer) for word in words)
    assert ("flip" in repr(layer)) == bool(getattr(layer, "flip", False))


@pytest.mark.parametrize("name", OURS)
def test_a_deep_copy_is_equal_and_independent(name: str) -> None:
    layer = OURS[name]()
    twin = copy.deepcopy(layer)
    assert torch.equal(layer(images()), twin(images()))
    expected = layer(images())
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert torch.equal(layer(images()), expected)


@pytest.mark.parametrize("name", OURS)
def test_an_image_without_batch_is_one_of_a_batch(name: str) -> None:
    layer = OURS[name]()
    x = images(1, 4, 8, 7)
    torch.testing.assert_close(layer(x[0]), layer(x)[0])


@pytest.mark.parametrize("name", OURS)
def test_channels_last_changes_the_format_and_not_the_values(name: str) -> None:
    layer = OURS[name]()
    expected = layer(images())
    last = torch.channels_last
    if name != "LocallyConnected2d":
        layer = layer.to(memory_format=last)  # type: ignore[call-overload]
    y = layer(images().contiguous(memory_format=last))
    torch.testing.assert_close(y, expected)
    if name != "LocallyConnected2d":
        assert y.is_contiguous(memory_format=last)


@pytest.mark.parametrize("name", PAIRS)
def test_autocast_gives_torchs_type_and_result(name: str) -> None:
    ours, theirs = (make() for make in PAIRS[name])
    ours.load_state_dict(theirs.state_dict())
    results = []
    for layer in (ours, theirs):
        with torch.autocast("cpu", torch.bfloat16):
            y = layer(images())
        if y.requires_grad:
            y.float().square().sum().backward()
        results.append(y)
    assert results[0].dtype == results[1].dtype
    torch.testing.assert_close(results[0], results[1], rtol=0.02, atol=0.02)  # each rounds its way
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.grad is not None
        assert its.grad is not None
        assert mine.grad.dtype == its.grad.dtype == torch.float32
        torch.testing.assert_close(
            mine.grad, its.grad, rtol=2e-2, atol=2e-2 * float(its.grad.abs().max())
        )


@pytest.mark.parametrize("name", ["Conv2d flip", "Conv2d sides", "ConvTranspose2d same"])
def test_autocast_covers_what_torch_lacks(name: str) -> None:
    layer = OURS[name]()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(images())
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), layer(images()), rtol=3e-2, atol=3e-2)


def test_the_local_layer_works_under_autocast() -> None:
    layer = nn.LocallyConnected2d(4, 6, (8, 7), 3)
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(images())
        y.float().sum().backward()
    torch.testing.assert_close(y.float(), layer(images()), rtol=3e-2, atol=3e-2)
    assert layer.weight.grad is not None


def test_the_transposed_layer_takes_an_output_size() -> None:
    ours = nn.ConvTranspose2d(4, 6, 3, 2, 1)
    theirs = torch.nn.ConvTranspose2d(4, 6, 3, 2, 1)
    ours.load_state_dict(theirs.state_dict())
    for size in ([16, 13], [2, 6, 15, 14]):
        torch.testing.assert_close(ours(images(), size), theirs(images(), size))


def test_indices_lead_back_through_torchs_unpooling() -> None:
    y, at = nn.MaxPool2d(2, return_indices=True)(images(2, 4, 8, 8))
    restored = torch.nn.MaxUnpool2d(2)(y, at)
    assert torch.equal(F.max_pool2d(restored.relu(), 2), y.relu())
    low, where = nn.MinPool2d(2, return_indices=True)(images(2, 4, 8, 8))
    assert torch.equal(images(2, 4, 8, 8).flatten(2).gather(2, where.flatten(2)), low.flatten(2))


def small_network() -> torch.nn.Sequential:
    """Return a classifier made of every layer."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        nn.Conv2d(1, 4, 3, 1, "same_lower", flip=True),
        torch.nn.ReLU(),
        nn.MaxPool2d(2, padding="same"),
        nn.LocallyConnected2d(4, 4, 4, 2, padding=((1, 0), (0, 1))),
        nn.ConvTranspose2d(4, 4, 2, 2, "same"),
        nn.AvgPool2d(3, 2, "same_upper"),
        nn.MinPool2d(2, 1),
        torch.nn.Flatten(),
        torch.nn.Linear(36, 2),
    )


def test_a_network_of_all_layers_learns() -> None:
    network = small_network()
    x = images(16, 1, 8, 8)
    x[8:, :, :4] += 1
    labels = torch.arange(16) // 8
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = tf.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("name", OURS)
def test_it_can_be_made_on_another_device_and_in_another_type(name: str) -> None:
    layer = OURS[name]().to(torch.float64)
    assert layer(images().double()).dtype == torch.float64
    with torch.device("meta"):
        on_meta = OURS[name]()
    y = on_meta(torch.empty(2, 4, 8, 7, device="meta"))
    assert y.device.type == "meta"
    assert y.shape == OURS[name]()(images()).shape
