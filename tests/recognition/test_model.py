"""The network: its layers, its shapes, its size, what it refuses."""

import pytest
import torch

from faltung import nn
from faltung.errors import ConfigError
from faltung.recognition.model import Reader


def test_it_is_made_of_our_layers() -> None:
    reader = Reader(10, ((4,), (6, 8)), 8)
    kinds = [type(layer) for layer in reader.body]
    norm, relu = torch.nn.BatchNorm2d, torch.nn.ReLU
    assert kinds == [nn.Conv2d, nn.MaxPool2d, norm, relu] + [nn.Conv2d, norm, relu] * 2
    assert [layer.out_channels for layer in reader.body if isinstance(layer, nn.Conv2d)] == [
        4,
        6,
        8,
    ]


@pytest.mark.parametrize(
    ("size", "widths"), [(8, ((4,),)), (28, ((2,), (3, 4), (5,))), (9, ((2,), (3,))), (1, ((2,),))]
)
def test_every_image_gets_a_logit_for_every_class(
    size: int, widths: tuple[tuple[int, ...], ...]
) -> None:
    reader = Reader(7, widths, size)
    assert reader(torch.rand(3, 1, size, size)).shape == (3, 7)


def test_parameters_are_counted() -> None:
    reader = Reader(10, ((4,), (6,)), 8, first_kernel=5)
    kernels, norms, head = 4 * 1 * 25 + 6 * 4 * 9, 2 * (4 + 6), 6 * 4 * 4 * 10 + 10
    assert reader.parameter_count() == kernels + norms + head


def test_it_is_shift_invariant_only_as_far_as_the_head_allows() -> None:
    torch.manual_seed(0)
    reader = Reader(3, ((4,),), 8).eval()
    image = torch.zeros(1, 1, 8, 8)
    image[..., 3, 3] = 1
    inner = slice(2, 6)
    maps, moved = (reader.body(image.roll(by, 3))[..., inner, inner] for by in (0, 1))
    torch.testing.assert_close(maps[..., :-1], moved[..., 1:])


def test_more_stages_than_the_image_can_be_halved_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Reader(10, ((1,), (1,), (1,), (1,), (1,)), 8)
    assert str(caught.value) == (
        "widths has 5 stages, but images of 8 x 8 can be halved only 3 times: use fewer stages"
    )
    assert Reader(10, ((1,), (1,), (1,), (1,)), 8)(torch.rand(2, 1, 8, 8)).shape == (2, 10)
