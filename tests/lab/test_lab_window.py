"""The window view's answers, held against the definition in loops and against torch's gradient."""

from typing import Any

import pytest
import torch
from httpx import Client

from faltung import functional as F
from faltung import nn
from faltung.errors import FaltungError
from faltung.lab.cells import CellAsked, input_cell, output_cell
from faltung.lab.window import WindowAsked, slide
from oracle import conv2d

SEEDS: dict[str, Any] = {
    "input": [[[0, 1, 2], [3, 4, 5], [6, 7, 8]]],
    "kernel": [[[[0, 1], [2, 3]]]],
}
SETTINGS: list[dict[str, Any]] = [
    {},
    {"padding": 1},
    {"padding": [0, 2]},
    {"padding": [[1, 0], [2, 1]], "stride": [2, 1]},
    {"padding": "same"},
    {"padding": "same", "flip": True},
    {"padding": "same_upper", "stride": 2},
    {"padding": "same_lower", "stride": 2},
    {"padding": "full", "flip": True},
    {"padding": "valid", "dilation": [2, 1]},
    {"padding": 1, "padding_mode": "reflect"},
    {"padding": 2, "padding_mode": "replicate", "stride": 2},
    {"padding": [[2, 1], [0, 2]], "padding_mode": "circular", "flip": True},
    {"groups": 2, "padding": 1},
]


def drawn(settings: dict[str, Any]) -> tuple[WindowAsked, torch.Tensor, torch.Tensor]:
    """Return a problem with whole numbers, and its tensors."""
    chance = torch.Generator().manual_seed(len(str(settings)))
    groups = settings.get("groups", 1)
    x = torch.randint(-5, 6, (4, 6, 5), generator=chance, dtype=torch.float64)
    w = torch.randint(-3, 4, (2, 4 // groups, 3, 2), generator=chance, dtype=torch.float64)
    return WindowAsked(input=x.tolist(), kernel=w.tolist(), **settings), x, w


def layer_of(asked: WindowAsked, w: torch.Tensor) -> nn.Conv2d:
    """Return the layer with the same settings."""
    given: dict[str, Any] = asked.model_dump(exclude={"input", "kernel"})
    layer = nn.Conv2d(w.shape[1] * given["groups"], 2, (3, 2), bias=False, **given).double()
    with torch.no_grad():
        layer.weight.copy_(w)
    return layer


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_it_computes_what_the_layer_computes(settings: dict[str, Any]) -> None:
    asked, x, w = drawn(settings)
    x.requires_grad_()
    y = layer_of(asked, w)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    slid = slide(asked)
    assert slid.output == y.tolist()
    assert slid.gradient == gradient.tolist()
    assert (slid.rows.outputs, slid.columns.outputs) == tuple(y.shape[1:])


def test_it_computes_the_definition() -> None:
    asked, x, w = drawn({"padding": [[1, 0], [2, 1]], "stride": [2, 1]})
    expected = conv2d(x[None].numpy(), w.numpy(), None, (2, 1), ((1, 0), (2, 1)))
    assert torch.tensor(slide(asked).output).tolist() == expected[0].tolist()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_output_is_the_sum_of_its_terms(settings: dict[str, Any]) -> None:
    asked, _, w = drawn(settings)
    slid = slide(asked)
    for k, plane in enumerate(slid.output):
        for y, line in enumerate(plane):
            for x, value in enumerate(line):
                cell = output_cell(CellAsked(problem=asked, channel=k, row=y, column=x))
                assert cell.value == value
                assert sum(term.product for term in cell.terms) == value
                assert len(cell.terms) == w[0].numel()
                for term in cell.terms:
                    assert slid.padded[term.channel][term.row][term.column] == term.x
                    first = k // (2 // slid.groups) * w.shape[1]
                    assert w[k, term.channel - first][term.tap] == term.w


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_input_has_the_gradient_of_what_it_touches(settings: dict[str, Any]) -> None:
    asked, x, _ = drawn(settings)
    slid = slide(asked)
    for c, row, column in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist():
        cell = input_cell(CellAsked(problem=asked, channel=c, row=row, column=column))
        assert sum(touch.w for touch in cell.touches) == slid.gradient[c][row][column]
        assert cell.gradient == slid.gradient[c][row][column]
        assert cell.value == x[c, row, column]


def test_a_touched_output_changes_by_the_weight() -> None:
    asked, x, _ = drawn({"padding": 2, "padding_mode": "replicate", "stride": 2})
    before = torch.tensor(slide(asked).output)
    x[1, 0, 0] += 1
    after = torch.tensor(slide(asked.model_copy(update={"input": x.tolist()})).output)
    moved = torch.zeros_like(before)
    for touch in input_cell(CellAsked(problem=asked, channel=1, row=0, column=0)).touches:
        moved[touch.channel, touch.row, touch.column] += touch.w
    assert torch.equal(after - before, moved)
    assert moved.any()


def test_the_seeds_sum_is_written_as_by_hand(client: Client) -> None:
    asked = {"problem": SEEDS, "channel": 0, "row": 0, "column": 0}
    told = client.post("/api/window/output", json=asked).json()
    assert told["text"] == "0×0 + 1×1 + 3×2 + 4×3 = 19"
    assert told["start"] == [0, 0]
    told = client.post("/api/window/input", json={**asked, "row": 1, "column": 1}).json()
    assert told["text"] == "3 + 2 + 1 + 0 = 6"


def test_an_input_that_no_output_reads() -> None:
    asked = WindowAsked(input=SEEDS["input"], kernel=[[[[5.0]]]], stride=2)
    cell = input_cell(CellAsked(problem=asked, channel=0, row=1, column=1))
    assert (cell.touches, cell.text) == ([], "0 = 0")


ILLEGAL: list[dict[str, Any]] = [
    {"stride": 0},
    {"stride": 1.5},
    {"stride": "two"},
    {"stride": [1, 2, 3]},
    {"dilation": -1},
    {"dilation": 3},
    {"groups": 0},
    {"groups": 3},
    {"padding": -1},
    {"padding": "sam"},
    {"padding": [[1, 2], 3]},
    {"padding_mode": "mirror"},
    {"padding_mode": None},
]


@pytest.mark.parametrize("settings", ILLEGAL, ids=str)
def test_an_illegal_setting_gets_the_sentence_of_python(
    client: Client, settings: dict[str, Any]
) -> None:
    with pytest.raises(FaltungError) as raised:
        _in_python(settings)
    answer = client.post("/api/window", json={**SEEDS, **settings})
    assert answer.status_code == 422
    fault = answer.json()["error"]
    assert fault == {"kind": type(raised.value).__name__, "message": str(raised.value)}


def _in_python(settings: dict[str, Any]) -> None:
    x, w = (torch.tensor(SEEDS[name], dtype=torch.float64) for name in ("input", "kernel"))
    if "padding_mode" in settings:
        nn.Conv2d(1, 1, 2, **settings)
    else:
        F.conv2d(x, w, **settings)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"stride": 65}, "stride is 65: the lab draws at most 64; use faltung.functional for more"),
        (
            {"padding": [[0, 0], [41, 30]]},
            "the padded input has 74 columns (41 + 3 + 30): the lab draws at most 72; use less",
        ),
        ({"padding": "full", "dilation": 64}, "the padded input has 131 rows (64 + 3 + 64)"),
        ({"padding": [[0, 0], [0, 99]]}, "padding is 99: the lab draws at most 64"),
        ({"stride": 10**30}, "the lab draws at most 64"),
        ({"input": [[[1, 2], [3]]]}, "input has rows or channels of different sizes"),
        ({"kernel": [[[[1]]], [[[1, 2]]]]}, "kernel has rows or channels of different sizes"),
        ({"padding": 3, "padding_mode": "reflect"}, "with padding_mode='reflect' it must be"),
    ],
)
def test_the_lab_has_limits(client: Client, settings: dict[str, Any], sentence: str) -> None:
    answer = client.post("/api/window", json={**SEEDS, **settings})
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]["message"]


@pytest.mark.parametrize("name", ["output", "input"])
def test_a_cell_that_is_not_there(client: Client, name: str) -> None:
    asked = {"problem": SEEDS, "channel": 0, "row": 3, "column": 0}
    answer = client.post(f"/api/window/{name}", json=asked)
    assert answer.status_code == 422
    sentence = f"cell is (0, 3, 0): the {name} has channels, rows and columns"
    assert answer.json()["error"]["message"].startswith(sentence)


def test_typed_numbers(client: Client) -> None:
    answer = client.post("/api/matrix", json={"text": "1,0,-1; 2,0,-2"})
    assert answer.json() == [[1, 0, -1], [2, 0, -2]]
    answer = client.post("/api/matrix", json={"text": "1 0"})
    assert answer.json()["error"]["message"].startswith("kernel is '1 0': it is numbers with ','")
