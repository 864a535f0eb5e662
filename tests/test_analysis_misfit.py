"""Sizes that do not fit, and models that fail: each explained by layer, way, cause and remedy."""

import logging
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

import faltung
import networks
import zoo
from faltung import nn as ours
from faltung.analysis import misfit
from faltung.analysis.inputs import parsed, tensors
from faltung.errors import ArgumentError, ModelError, ShapeError


def told(model: nn.Module, sizes: Any, error: type[Exception] = ShapeError) -> list[str]:
    with pytest.raises(error) as caught, mock.patch.object(misfit, "PATIENCE", 60):
        faltung.summary(model, sizes)
    return str(caught.value).splitlines()


def test_lenet_for_mnist_tells_the_whole_way(capfd: pytest.CaptureFixture[str]) -> None:
    assert told(networks.LeNet(), (1, 28, 28)) == [
        "layer 7 (Linear) does not fit what reaches it: it takes 400 features but gets 256 (shape "
        "1x256)",
        "sizes on the way:",
        "  input                                                    1x1x28x28",
        "  0      Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1))   1x6x24x24",
        "  1      Tanh()                                            1x6x24x24",
        "  2      AvgPool2d(kernel_size=2, stride=2, padding=0)     1x6x12x12",
        "  3      Conv2d(6, 16, kernel_size=(5, 5), stride=(1, 1))  1x16x8x8",
        "  4      Tanh()                                            1x16x8x8",
        "  5      AvgPool2d(kernel_size=2, stride=2, padding=0)     1x16x4x4",
        "  6      Flatten(start_dim=1, end_dim=-1)                  1x256",
        "likely cause: 256 is 16x4x4, the channels, height and width of the last maps; 400 would "
        "be 16x5x5",
        "remedy: write Linear(256, 120); or images of 32 x 32, which fit",
    ]
    assert capfd.readouterr() == ("", "")  # what torch logs about the attempt is not shown


def test_a_remedy_that_is_followed_helps() -> None:
    model = networks.LeNet()
    faltung.summary(model, (1, 32, 32))
    model[7] = nn.Linear(256, 120)
    assert faltung.summary(model, (1, 28, 28)).rows[-1].output == (1, 10)


@pytest.mark.parametrize(
    ("model", "sizes", "first", "rest"),
    [
        (
            nn.Sequential(nn.Conv2d(3, 4, 3)), (1, 28, 28),
            "layer 0 (Conv2d) does not fit what reaches it: weight has 3 input channels but input "
            "has 1 (shape (1, 1, 28, 28)): the image looks grayscale; use in_channels=1, or repeat "
            "the channel",
            [],
        ),
        (
            nn.Sequential(ours.Conv2d(1, 4, 3), nn.Conv2d(5, 4, 3)), (1, 9, 9),
            "layer 1 (Conv2d) does not fit what reaches it: weight has 5 input channels but input "
            "has 4 (shape (1, 4, 7, 7)): use in_channels=4, or give the input 5 channels",
            [],
        ),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), ours.Conv2d(5, 4, 3)), (1, 9, 9),
            "layer 1 (Conv2d) does not fit what reaches it: weight has 5 input channels but input "
            "has 4 (shape (1, 4, 7, 7)): use in_channels=4, or give the input 5 channels",
            [],
        ),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(8)), (1, 9, 9),
            "layer 1 (BatchNorm2d) does not fit what reaches it: it normalises 8 channels but gets "
            "4 (shape 1x4x7x7)",
            [
                "likely cause: the layer before it has another number of channels",
                "remedy: write BatchNorm2d(4)",
            ],
        ),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(196, 2)), (1, 9, 9),
            "layer 1 (Linear) does not fit what reaches it: it takes 196 features but gets 7 "
            "(shape 1x4x7x7)",
            [
                "likely cause: 196 is 4x7x7: the maps were not made one row of numbers",
                "remedy: put torch.nn.Flatten() before it",
            ],
        ),
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)), (1, 9, 9),
            "layer 2 (Linear) does not fit what reaches it: it takes 4 features but gets 196 "
            "(shape 1x196)",
            [
                "likely cause: 196 is 4x7x7, the channels, height and width of the last maps",
                "remedy: put torch.nn.AdaptiveAvgPool2d(1) before the flattening",
            ],
        ),
        (
            nn.Sequential(nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2)), (1, 4, 8),
            "layer 2 (MaxPool2d) does not fit what reaches it: the window is 2 rows high but the "
            "padded input only 1 (0 + 1 + 0): use a smaller kernel, more padding, or larger images "
            "(or fewer strided layers before this one)",
            ["remedy: images of 8 x 8, which fit"],
        ),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(3, 2, 2)), (1, 9, 9),
            "layer 1 (ConvTranspose2d) does not fit what reaches it: weight has 3 input channels "
            "but input has 2 (shape (1, 2, 7, 7)): use in_channels=2, or give the input 3 channels",
            [],
        ),
    ],
)  # fmt: skip
def test_causes_and_remedies(
    model: nn.Module, sizes: tuple[int, ...], first: str, rest: list[str]
) -> None:
    lines = told(model, sizes)
    assert lines[:2] == [first, "sizes on the way:"]
    assert lines[2].split() == ["input", "x".join(map(str, (1, *sizes)))]
    assert [line for line in lines[2:] if not line.startswith("  ")] == rest


def test_branches_of_unequal_size_in_a_long_network() -> None:
    lines = told(networks.UNet(), (1, 50, 50))
    assert lines[0] == "UNet does not fit what reaches it: cat joins 1x2x25x25 and 1x2x24x24"
    shown = [line.split()[-1] for line in lines[2:-2]]
    sizes = [50, 25, 12, 6, 3, 6, 12]
    found = [line for line in shown if line != "..."]
    assert [f"1x1x{sizes[0]}x{sizes[0]}", *(f"1x2x{n}x{n}" for n in sizes[1:])] == found[:7]
    assert found[-1] == "1x2x24x24"
    assert "  ..." in lines
    assert lines[-2].startswith("likely cause: the branches make maps of different sizes: an odd s")
    assert lines[-1].endswith("or images of 64 x 64, which fit")


def test_branches_of_unequal_channels() -> None:
    model = zoo.Does(lambda m, x: m.a(x) + m.b(x), a=zoo.conv(3, 1, 4), b=zoo.conv(3, 1, 3))
    lines = told(model, (1, 9, 9))
    assert lines[0] == "Does does not fit what reaches it: add joins 1x4x7x7 and 1x3x7x7"
    assert lines[-2:] == [
        "likely cause: the branches differ in their channels",
        "remedy: give them equal channels",
    ]


@pytest.mark.parametrize(
    ("does", "last"),
    [
        (lambda m, x: dict[str, Tensor]()["weights"], "Does raises KeyError: 'weights'"),
        (lambda m, x: m.a(x).view(3, 5), "Does raises RuntimeError: shape '[3, 5]' is invalid for"),
        (lambda m, x: m.a(x.double()), "layer a (Conv2d) raises RuntimeError: Input type (double)"),
    ],
)
def test_models_that_raise(does: Any, last: str) -> None:
    lines = told(zoo.Does(does, a=zoo.conv(3, 1)), (1, 9, 9), ModelError)
    assert lines[0].startswith(last)
    assert lines[1:3] == ["sizes on the way:", lines[2]]
    assert lines[2].split() == ["input", "1x1x9x9"]


def test_too_few_and_too_many_inputs() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    for sizes in ((1, 8, 8), [(1, 8, 8)] * 3):
        lines = told(Two(), sizes, ModelError)
        assert "forward() " in lines[0]
        assert lines[-1] == "remedy: give as many inputs as its forward takes"


def test_a_failure_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(3, 2))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    handlers = [len(logging.getLogger(name).handlers) for name in ("torch", "torch._dynamo")]
    told(model, (1, 9, 9))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    assert handlers == [len(logging.getLogger(n).handlers) for n in ("torch", "torch._dynamo")]
    assert not any(handler.filters for handler in logging.getLogger("torch").handlers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (28, 28),
            "input is 28x28: an image has channels, height and width; write 1x28x28 for one "
            "channel",
        ),
        ((28,), "input is 28: write channels, height and width, such as 1x28x28"),
        ((1, 0, 28), "input[1] is 0: it must be at least 1"),
        ((1, 2.5, 28), "input[1] is 2.5: it must be a whole number; use an int"),
        ((), "input is (): it must be a tensor, or sizes such as (1, 28, 28), or several of them"),
        (None, "input is None: it must be a tensor, or sizes such as (1, 28, 28), or several of "),
        (
            [(1, 8, 8), "8"],
            "input[1] is '8': it must be a tensor, or sizes such as (1, 28, 28)",
        ),
        ((1, 10**7, 10**7), "input is 1x10000000x10000000: no tensor of that size can be made ("),
    ],
)
def test_inputs_that_are_none(given: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        tensors(nn.Conv2d(1, 1, 3), given)
    assert str(caught.value).startswith(message)


def test_models_that_are_none() -> None:
    with pytest.raises(ModelError, match=r"model is a function: it must be a torch\.nn\.Mod"):
        faltung.summary(lambda x: x, (1, 8, 8))  # type: ignore[arg-type]


def test_sizes_written_as_text() -> None:
    for text in ("8x1x28x28", "8X1x28x28", "8,1,28,28", "8\u00d71\u00d728\u00d728"):
        assert parsed(text) == (8, 1, 28, 28)
    for text in ("", "1x", "axb", "1x-2", "1x2.5", "0x3", "1 28 28"):
        with pytest.raises(ArgumentError, match=r"--input is .*: write whole sizes with x betw"):
            parsed(text)


def test_models_whose_parameters_are_not_made() -> None:
    with pytest.raises(ModelError, match="sizes from their first input: call it once before"):
        faltung.summary(nn.LazyConv2d(2, 3), (1, 8, 8))


def test_models_without_numbers() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to("meta")
    assert faltung.summary(model, (1, 8, 8)).totals.macs == 648
    assert all(checked.right for checked in faltung.analysis.verify(model, (1, 8, 8)))
    with pytest.raises(ArgumentError, match="measured is True, but the model is on the meta dev"):
        faltung.summary(model, (1, 8, 8), measured=True)


@pytest.mark.filterwarnings("ignore")  # torch warns of its own scripts
def test_models_that_are_scripted() -> None:
    with pytest.raises(ModelError, match=r"model is scripted: analyse the torch\.nn\.Module that"):
        faltung.summary(torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 3))), (1, 8, 8))


class Asserting(nn.Conv2d):
    """A layer that says nothing about what it misses."""

    def forward(self, input: Tensor) -> Tensor:
        """Raise an error without a word, as a bare assert does."""
        if input.shape[-1] % 32:
            raise AssertionError
        return super().forward(input)


def test_a_bare_assert_is_told_with_the_sizes_on_the_way() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), Asserting(4, 4, 3))
    with pytest.raises(ModelError, match=r"layer 1 \(Asserting\) raises AssertionError\n") as told:
        faltung.summary(model, (3, 20, 20))
    assert "1x4x18x18" in str(told.value)
