"""The benchmark's list: the text of a layer both ways, its sizes, and what is wrong with a line."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as tf

from faltung.bench.layer import Layer, parse
from faltung.bench.problems import GROUPS, LIST, Problem, read, select
from faltung.errors import ArgumentError, DataError, ShapeError

EXAMPLE = "'mb1ic64ih56oc64kh3ph1' or 'max ic64ih112kh3sh2ph1'"
FIELDS = "mb, g, ic, ih, iw, oc, kh, kw, sh, sw, ph, pw, dh, dw"
PROBLEMS = read()


def test_fields_left_out_have_their_defaults() -> None:
    assert parse("ic3ih9oc4kh5") == Layer("convolution", 1, 1, 3, 4, (9, 9), (5, 5))
    assert parse("mb2g2ic4ih5iw6oc8kh3kw1sh2sw3ph1pw0dh1dw2") == Layer(
        "convolution", 2, 2, 4, 8, (5, 6), (3, 1), (2, 3), (1, 0), (1, 2)
    )
    assert parse("kh2oc6ic4sh2ih7") == parse("ic4ih7oc6kh2sh2"), "in any order"
    assert parse("t ic4ih7oc6kh2sh2").kind == "transposed"
    assert parse("max ic4ih7kh2sh2") == Layer("max", 1, 1, 4, 4, (7, 7), (2, 2), (2, 2))


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_text_is_the_way_back(problem: Problem) -> None:
    assert parse(str(problem.layer)) == problem.layer
    assert str(parse(str(problem.layer))) == str(problem.layer)


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_every_layer_of_the_list_is_what_torch_makes_of_it(problem: Problem) -> None:
    layer = problem.layer
    x = torch.empty(layer.input_shape, device="meta")
    w = torch.empty(layer.weight_shape, device="meta")
    how: dict[str, Any] = {"stride": layer.stride, "padding": layer.padding}
    if layer.kind == "max":
        y = tf.max_pool2d(x, layer.window, **how, dilation=layer.dilation)
    elif layer.kind == "avg":
        y = tf.avg_pool2d(x, layer.window, **how)
    else:
        convolve = tf.conv2d if layer.kind == "convolution" else tf.conv_transpose2d
        y = convolve(x, w, **how, dilation=layer.dilation, groups=layer.groups)
    assert layer.output_shape == tuple(y.shape)


def test_the_list_holds_every_group_and_fits_into_minutes() -> None:
    assert {p.group for p in PROBLEMS} == set(GROUPS)
    assert 40 <= len(PROBLEMS) <= 50
    assert sum(p.layer.flops for p in PROBLEMS) < 40e9
    text = LIST.read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert [str(p).split() for p in PROBLEMS] == lines, "texts are in their shortest form"


def test_operations_are_counted() -> None:
    assert parse("ic64ih56oc64kh3ph1").flops == 2 * 9 * 64 * 64 * 56 * 56
    assert parse("mb2g4ic8ih5oc4kh3").flops == 2 * 9 * (8 // 4) * 2 * 4 * 3 * 3
    assert parse("t g2ic4ih5oc6kh2sh2").flops == 2 * 4 * 4 * (6 // 2) * 5 * 5
    assert parse("max mb2ic4ih8kh2sh2").flops == 4 * 2 * 4 * 4 * 4


def test_pools_have_no_weight_gradient() -> None:
    assert parse("avg ic4ih8kh2sh2").directions == ("forward", "input")
    assert parse("ic4ih8oc4kh2").directions == ("forward", "input", "weight")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"'' is not a row of names and numbers: write {EXAMPLE}"),
        (
            "ic3 ih9",
            f"'ic3 ih9' starts with 'ic3': it must be t, max, avg or nothing, as in {EXAMPLE}",
        ),
        ("ic3ihx", f"'ic3ihx' is not a row of names and numbers: write {EXAMPLE}"),
        ("ic3ih-9", f"'ic3ih-9' is not a row of names and numbers: write {EXAMPLE}"),
        ("ic3id9", f"'ic3id9' has 'id': the fields are {FIELDS}"),
        ("ic3ic4ih9oc4kh3", "'ic3ic4ih9oc4kh3' has 'ic' twice: leave one out"),
        ("ic3ih9kh3", f"'ic3ih9kh3' lacks 'oc': write {EXAMPLE}"),
        ("max ih9kh3", f"'max ih9kh3' lacks 'ic': write {EXAMPLE}"),
        (
            "max ic3ih9oc3kh3",
            "'max ic3ih9oc3kh3' has 'oc': pools keep their channels; leave it out",
        ),
        ("ic3ih9oc4kh3sh0", "sh is 0: it must be at least 1"),
        ("avg ic3ih9kh3dh2", "dh is 2: averages are dense; leave it out"),
    ],
)
def test_malformed_texts_are_explained(text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "g2ic3ih9oc4kh3",
            "g is 2, which does not divide ic (3): every group has the same number of channels; "
            "choose a divisor of both",
        ),
        (
            "ic3ih9iw4oc4kh3pw0dw2dh1",
            "kw is 3 (covering 5) but iw with padding only 4: use a smaller window, more padding "
            "or a larger image",
        ),
        (
            "max ic3ih9kh3ph2",
            "ph is 2: a pool pads at most half its window (3); use less",
        ),
        ("t ic3ih1oc4kh2ph1", "ph is 1, which crops the whole output: use less"),
    ],
)
def test_sizes_that_do_not_fit_are_explained(text: str, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_an_unknown_kind_is_explained() -> None:
    with pytest.raises(ArgumentError) as caught:
        Layer("median", 1, 1, 3, 3, (9, 9), (3, 3))
    assert str(caught.value) == (
        "kind is 'median': it must be one of convolution, transposed, max, avg"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sparse a ic3ih9oc4kh3", "the group is 'sparse': it must be one of dense, special, pools"),
        ("dense first ic3ih9oc4kh3", "'first' is there twice: give each problem its own name"),
        ("dense b ic3ih9oc4", f"'ic3ih9oc4' lacks 'kh': write {EXAMPLE}"),
        ("dense b", f"'' is not a row of names and numbers: write {EXAMPLE}"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"# a comment\n\ndense first ic3ih9oc4kh3\n{line}\n")
    with pytest.raises(DataError) as caught:
        read(file)
    assert str(caught.value) == f"{file}, line 4: {message}"


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.txt cannot be read as a list of problems: "):
        read(tmp_path / "nothing.txt")


def test_problems_are_chosen_by_group_and_expression() -> None:
    assert select(PROBLEMS) == PROBLEMS
    assert {p.group for p in select(PROBLEMS, groups=["pools"])} == {"pools"}
    assert [p.name for p in select(PROBLEMS, r"^special replk")] == ["replknet-dw56"]
    with pytest.raises(ArgumentError) as caught:
        select(PROBLEMS, "replk", ["dense", "pools"])
    assert str(caught.value) == (
        "no problem of the groups dense, pools matches 'replk': use a wider filter"
    )
    with pytest.raises(ArgumentError, match=r"^'\(' is no regular expression: missing \)"):
        select(PROBLEMS, "(")
