"""Pictures of models: kernels, feature maps and receptive fields hold the model's own numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from torch import Tensor

from drawn import crowded, pixels, texts
from faltung import analysis, nn, pictures
from faltung.errors import ArgumentError, ModelError, ShapeError
from faltung.pictures import style
from faltung.pictures.planes import levels
from faltung.pictures.receptive import WIDE, heated


class Small(torch.nn.Module):
    """Two convolutions with a pool between them, a batch norm and a head."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.body = torch.nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1, bias=False),
            torch.nn.BatchNorm2d(3),
            torch.nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 2, 3, padding=1),
        )
        self.head = torch.nn.Linear(2 * 4 * 4, 5)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 5)."""
        y: Tensor = self.head(self.body(x).flatten(1))
        return y


def image(*shape: int) -> Tensor:
    return torch.rand(shape or (1, 8, 8), generator=torch.Generator().manual_seed(1))


def test_kernels_are_coloured_by_their_weights() -> None:
    model = Small()
    figure = pictures.kernels(model)
    planes = [c for c in figure.axes[0].collections if isinstance(c, PatchCollection)][:3]
    weight = model.state_dict()["body.0.weight"]
    most = float(weight.abs().max())
    assert figure.get_label() == "body.0: 3 × 1 kernels of 3×3"
    for plane, kernel in zip(planes, weight[:, 0], strict=True):
        red, _, blue, _ = np.asarray(plane.get_facecolor()).T
        assert np.array_equal(np.sign(red - blue), np.sign(kernel.flatten().numpy()))
    assert {f"{most:.2f}", f"−{most:.2f}", "0"} <= set(texts(figure))
    assert pictures.kernels(weight).get_label() == "weight: 3 × 1 kernels of 3×3"
    assert not figure.axes[0].images


def test_kernels_of_several_channels_stand_in_rows() -> None:
    figure = pictures.kernels(Small(), "body.4")
    boxes = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and not p.get_fill()]
    assert len({round(box.get_y(), 3) for box in boxes}) == 2
    assert len({round(box.get_x(), 3) for box in boxes}) == 3
    few = pictures.kernels(Small(), "body.4", most=4)
    assert few.get_label() == "body.4: 2 × 3 kernels of 3×3; the first 4 are shown"


def test_feature_maps_are_what_the_layer_answers() -> None:
    model, x = Small().train(), image()
    figure = pictures.feature_maps(model, x, "body.2")
    assert figure.get_label() == "body.2: 3 feature maps of 8×8"
    assert model.training
    assert model.body[1].training
    assert not model.body[2]._forward_hooks
    assert model.state_dict()["body.1.num_batches_tracked"] == 0
    with torch.no_grad():
        expected = model.eval().body[:3](x[None])[0]
    drawn, *maps = pixels(figure)
    assert np.allclose(drawn, levels(x))
    assert len(maps) == 3
    brightness = [plane[..., :3].sum(2).flatten() for plane in maps]
    for plane, values in zip(brightness, expected, strict=True):
        order = values.flatten().argsort(stable=True).numpy()
        assert (np.diff(plane[order]) > -0.02).all()
    assert "0" in texts(figure)
    assert crowded(figure) == []


def test_a_layer_before_one_that_fails_is_drawn() -> None:
    figure = pictures.feature_maps(Small(), image(1, 12, 16), "body.0", most=2)
    assert figure.get_label() == "body.0: 3 feature maps of 12×16; the first 2 are shown"


def rectangles(figure: Any, colour: str) -> list[tuple[float, float, float, float]]:
    """Return left, top, width and height of the frames of a colour, in cells."""
    return [
        (p.get_x(), p.get_y(), p.get_width(), p.get_height())
        for p in figure.axes[0].patches
        if isinstance(p, Rectangle) and p.get_edgecolor()[:3] == pytest.approx(to_rgb(colour))
    ]


def test_the_rectangle_is_the_receptive_field() -> None:
    model, x = Small(), image()
    figure = pictures.receptive_field(model, x, "body.4", 1, 3, samples=2)
    (field,) = (f for f in analysis.receptive_field(model, x[None]) if f.path == "body.4")
    rows, columns = field.clipped(1, 3)
    scale = WIDE / 8
    expected = [columns.start, rows.start, len(columns), len(rows)]
    left, right = rectangles(figure, style.BLUE)
    assert left == pytest.approx([edge * scale for edge in expected])
    assert right[1:] == pytest.approx(left[1:])
    ((x0, y0, wide, high),) = rectangles(figure, style.RED)
    assert field.rows is not None
    assert field.columns is not None
    assert (wide, high) == pytest.approx((8 * scale, 8 * scale))
    assert y0 == pytest.approx(field.rows.span(1).start * scale)
    assert x0 == pytest.approx(field.columns.span(3).start * scale)
    assert str(figure.get_label()).startswith(
        f"unit (1, 3) of the 4×4 map of body.4: receptive field 8×8 pixels, "
        f"{len(rows)}×{len(columns)} of them on the picture; 90% of the gradient's energy on "
    )
    assert crowded(figure) == []


def test_the_heat_is_the_effective_field() -> None:
    model, x = Small().train(), image()
    figure = pictures.receptive_field(model, x, "body.4", 0, 0, samples=3)
    assert model.training
    energy = analysis.effective_field(model.eval(), x[None], "body.4", (0, 0), samples=3)
    drawn, heat = pixels(figure)
    assert np.allclose(drawn, levels(x))
    assert np.allclose(heat, heated(levels(x), energy))
    hottest = np.unravel_index(energy.argmax(), energy.shape)
    assert heat[hottest] == pytest.approx((0.72, 0.14, 0.0))
    cold = energy == 0
    assert cold.any()
    assert np.ptp(heat[cold], axis=1) == pytest.approx(0)


def test_a_field_far_beyond_the_picture_is_said_in_words_only() -> None:
    layers = [nn.Conv2d(1, 1, 9, padding=4) for _ in range(4)]
    figure = pictures.receptive_field(torch.nn.Sequential(*layers), image(), "3", samples=1)
    assert rectangles(figure, style.RED) == []
    assert "receptive field 33×33 pixels, 8×8 of them on the picture" in texts(figure)


def test_a_photo_is_drawn_as_people_see_it() -> None:
    photo = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    figure = pictures.receptive_field(Small(), image(), "body.0", samples=1, shown_as=photo)
    assert np.allclose(pixels(figure)[0], photo / 255)


REFUSED = [
    (lambda: pictures.kernels(Small(), "body.2"), ArgumentError,
     "layer is 'body.2', which has no kernels (K, C, R, S); those that have some are body.0, "
     "body.4"),
    (lambda: pictures.kernels(Small(), "body.44"), ArgumentError,
     "layer is 'body.44', which the model does not have; did you mean 'body.4'?"),
    (lambda: pictures.kernels(torch.nn.ReLU()), ArgumentError,
     "layer is None, which has no kernels (K, C, R, S); no layer has"),
    (lambda: pictures.kernels(torch.zeros(3, 3)), ShapeError,
     "weight has shape (3, 3): this picture takes (K, C, R, S), none of them empty"),
    (lambda: pictures.kernels(torch.zeros(1, 1, 99, 99)), ShapeError,
     "weight has kernels of 99×99: at most 8192 numbers can be drawn"),
    (lambda: pictures.kernels(Small(), most=0), ArgumentError, "most is 0: it must be at least 1"),
    (lambda: pictures.feature_maps(len, image(), "x"), ModelError,  # type: ignore[arg-type]
     "model is a builtin_function_or_method: it must be a torch.nn.Module"),
    (lambda: pictures.feature_maps(Small(), image(), "zzz"), ArgumentError,
     "layer is 'zzz', which the model does not have; the layers are body, body.0, body.1, body.2, "
     "body.3, body.4, head"),
    (lambda: pictures.feature_maps(Small(), image(), "head"), ArgumentError,
     "layer is 'head', which gives a result of shape (1, 5): feature maps are (N, K, H, W); choose "
     "a convolution, a pool, or what follows them"),
    (lambda: pictures.feature_maps(Small(), image(3, 8, 8), "body.0"), ShapeError,
     "weight has 1 input channel but input has 3 (shape (1, 3, 8, 8)): the image looks like "
     "colour; use in_channels=3, or average it with input.mean(1, keepdim=True)"),
    (lambda: pictures.feature_maps(Small(), image(1, 9, 12), "head"), ShapeError,
     "image has shape (1, 9, 12), which the model does not take (mat1 and mat2 shapes cannot be "
     "multiplied (1x48 and 32x5)): `faltung summary` explains where it fails"),
    (lambda: pictures.receptive_field(Small(), image(), "body.9"), ArgumentError,
     "layer is 'body.9': the layers that see the image are body.0, body.1, body.2, body.3, body.4, "
     "flatten, head"),
    (lambda: pictures.receptive_field(Small(), image(), "body.4", 4), ArgumentError,
     "row is 4: the map of body.4 has 4 rows, counted from 0 to 3"),
    (lambda: pictures.receptive_field(Small(), image(), "body.4", 0, -1), ArgumentError,
     "column is -1: the map of body.4 has 4 columns, counted from 0 to 3"),
]  # fmt: skip


@pytest.mark.parametrize(("draw", "error", "message"), REFUSED)
def test_bad_input_is_refused_in_words(draw: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        draw()
    assert str(caught.value) == message
