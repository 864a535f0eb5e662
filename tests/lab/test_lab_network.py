"""The network view's answers, held against the network itself, run whole."""

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from httpx import Client

from faltung.errors import RunError
from faltung.lab.drawing import framed
from faltung.lab.network import SHIPPED, Network, forward, open_network
from faltung.lab.reading import ReadAsked, Unit, read
from faltung.lab.unit import UnitAsked, look


def unpacked(text: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f4").copy()).reshape(shape)


def sketch(image: list[list[int]]) -> str:
    """Return an 8x8 image enlarged to a drawing."""
    large = np.kron(np.array(image, np.uint8), np.ones((8, 8), np.uint8))
    return base64.b64encode(large.tobytes()).decode()


def test_the_shipped_run_is_small_and_reads_what_it_never_saw(network: Network) -> None:
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) < 400_000
    assert [sample.name for sample in network.samples] == list("0123456789")
    right = 0
    for sample in network.samples:
        told = read(network, ReadAsked(drawing=sketch(sample.image)))
        assert sum(told.probabilities) == pytest.approx(1)
        right += network.run.classes[int(np.argmax(told.scores))] == sample.name
    assert right >= 9


def test_it_computes_what_the_model_computes(network: Network, stroke: str) -> None:
    told = read(network, ReadAsked(drawing=stroke))
    image = torch.tensor(told.image, dtype=torch.uint8)[None, None]
    logits = network.run.logits(image)[0]
    assert told.scores == pytest.approx(logits.tolist(), abs=1e-5)
    assert network.run.classes[int(logits.argmax())] == "1"
    caught: list[torch.Tensor] = []
    hooks = [
        stage.module.register_forward_hook(lambda _, __, y: caught.append(y))
        for stage in network.stages
    ]
    network.run.logits(image)
    for hook in hooks:
        hook.remove()
    for layer, expected in zip(told.layers, caught, strict=True):
        assert unpacked(layer.values, tuple(expected[0].shape)).allclose(expected[0], atol=1e-6)


def gradient_of(network: Network, image: torch.Tensor, score: int) -> torch.Tensor:
    """Return what torch's own way back gives for the picture from 0 to 1."""
    pixels = image.float().div(255)[None, None].requires_grad_()
    network.run.model(network.run.facts.normalised(pixels))[0, score].backward()
    assert pixels.grad is not None
    return pixels.grad[0, 0]


def test_the_way_back_is_that_of_the_whole_model(network: Network, stroke: str) -> None:
    told = read(network, ReadAsked(drawing=stroke, score="7"))
    assert told.gradient is not None
    expected = gradient_of(network, torch.tensor(told.image), 7)
    assert unpacked(told.gradient, (8, 8)).allclose(expected, atol=1e-5)
    scores = told.layers[-1].gradient
    assert scores is not None
    assert unpacked(scores, (10,)).tolist() == [float(i == 7) for i in range(10)]
    assert all(parameter.grad is None for parameter in network.run.model.parameters())


def test_the_way_back_from_a_unit_stops_there(network: Network, stroke: str) -> None:
    unit = Unit(layer=4, channel=3, row=1, column=2)
    told = read(network, ReadAsked(drawing=stroke, unit=unit))
    at = told.layers[4].gradient
    assert at is not None
    assert unpacked(at, (8, 4, 4)).nonzero().tolist() == [[3, 1, 2]]
    assert [layer.gradient is None for layer in told.layers] == [n > 4 for n in range(14)]


@pytest.mark.parametrize("layer", range(14))
def test_a_unit_is_the_sum_of_its_parts(network: Network, stroke: str, layer: int) -> None:
    done = forward(network, stroke)
    maps = done.results[layer][0]
    shape = (*maps.shape, 1, 1)[:3]
    unit = Unit(layer=layer, channel=shape[0] - 1, row=shape[1] // 2, column=shape[2] // 2)
    seen = look(network, UnitAsked(drawing=stroke, unit=unit))
    value = maps.reshape(shape)[unit.channel, unit.row, unit.column].item()
    assert seen.value == pytest.approx(value)
    bias = network.run.model.head.bias[unit.channel].item() if seen.kind == "linear" else 0
    assert sum(part.sum for part in seen.parts) + bias == pytest.approx(value, abs=1e-4)
    before = done.into(layer)[0]
    for part in seen.parts:
        numbers = [x for line in part.inputs for x in line if x is not None]
        assert set(numbers) <= set(before[part.channel].flatten().tolist())
        products = [
            0 if x is None else x * w
            for line, taps in zip(part.inputs, part.kernel, strict=False)
            for x, w in zip(line, taps, strict=True)
        ]
        if part.kernel:
            assert part.sum == pytest.approx(sum(products), abs=1e-5)


@pytest.mark.parametrize("layer", [0, 3, 4, 7, 10])
def test_the_receptive_field_is_where_the_gradient_can_be(network: Network, layer: int) -> None:
    """Random pictures reach every pixel of the field, together, and none outside of it."""
    reached = torch.zeros(8, 8, dtype=torch.bool)
    chance = np.random.default_rng(0)
    unit = Unit(layer=layer, channel=1, row=2, column=1)
    for _ in range(30):
        ink = np.kron(chance.integers(1, 255, (8, 8), dtype=np.uint8), np.ones((8, 8), np.uint8))
        drawing = base64.b64encode(ink.tobytes()).decode()
        told = read(network, ReadAsked(drawing=drawing, unit=unit))
        assert told.gradient is not None
        reached |= unpacked(told.gradient, (8, 8)) != 0
    seen = look(network, UnitAsked(drawing=drawing, unit=unit))
    field = torch.zeros(8, 8, dtype=torch.bool)
    rows, columns = (slice(max(a, 0), b) for a, b in (seen.rows, seen.columns))
    field[rows, columns] = True
    assert torch.equal(reached, field)
    assert seen.down == (8 * max(seen.rows[0], 0), 8 * min(seen.rows[1], 8))


def test_the_picture_lies_on_the_drawing_where_the_placing_says(network: Network) -> None:
    ink = np.zeros((64, 64), np.uint8)
    ink[10:42, 20:36] = 200
    seen = framed(base64.b64encode(ink.tobytes()).decode(), network.run.frame)
    filled = seen.image.nonzero()
    rows = range(int(filled[0, 0]), int(filled[-1, 0]) + 1)
    columns = range(int(filled[:, 1].min()), int(filled[:, 1].max()) + 1)
    assert seen.placing.rows(rows) == pytest.approx((10, 42))
    assert seen.placing.columns(columns) == pytest.approx((20, 36))


def test_faint_ink_is_ink_and_an_empty_drawing_is_empty(network: Network) -> None:
    faint = base64.b64encode(bytes([3] * 64 + [0] * 4032)).decode()
    told = read(network, ReadAsked(drawing=faint))
    assert told.drawn
    assert max(map(max, told.image)) == 255
    told = read(network, ReadAsked(drawing=base64.b64encode(bytes(4096)).decode()))
    assert not told.drawn
    assert sum(map(sum, told.image)) == 0
    assert sum(told.probabilities) == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"drawing": "no"}, "drawing is no picture of 64 x 64 bytes in base64"),
        ({"drawing": "ä" * 8}, "drawing is no picture of 64 x 64 bytes in base64"),
        ({"score": "x"}, "score is 'x': the classes are '0', '1'"),
        ({"unit": {"layer": 14, "channel": 0}}, "layer is 14: the network has 14; count from 0"),
        (
            {"unit": {"layer": 0, "channel": 8}},
            "unit is (8, 0, 0): layer 0 has channels, rows and columns (8, 8, 8); count from 0",
        ),
    ],
)
def test_bad_questions(client: Client, stroke: str, asked: dict[str, Any], sentence: str) -> None:
    answer = client.post("/api/network/read", json={"drawing": stroke, **asked})
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]["message"]


def test_a_run_of_ones_own_opens_also_without_samples(tmp_path: Path) -> None:
    shutil.copy(SHIPPED / "best.safetensors", tmp_path)
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "held-out-0001-is-3.png").write_bytes(b"damaged")
    opened = open_network(tmp_path)
    assert opened.name == tmp_path.name
    assert opened.samples == ()
    with pytest.raises(RunError, match="does not exist"):
        open_network(tmp_path / "nothing")
