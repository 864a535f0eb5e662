"""Which kernel runs, and why: the facts, the lines, and that a layer really poses that problem."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import faltung
from convolving import TILES
from faltung import nn
from faltung.accuracy import PROMISES
from faltung.compiler import kernel, planner
from faltung.compiler.algorithms import dense_plan
from faltung.compiler.problem import Problem, parse
from faltung.compiler.store import Store
from faltung.errors import ArgumentError, DtypeError, ShapeError
from faltung.explain import Why, why
from faltung.ops import ours

LAST = torch.channels_last


def test_a_text_is_explained() -> None:
    found = faltung.why("conv mb2ic3ih9iw11oc13kh3ph1 bias")
    assert found.ours
    assert found.reason == "a kernel of ours computes conv2d"
    assert found.problem == parse("conv mb2ic3ih9iw11oc13kh3ph1 bias")
    assert found.target == ours.target()
    assert found.plan is not None
    assert (found.plan.algorithm, found.otherwise) == ("dense", None)
    assert {name for name, _ in found.refusals} == {a.NAME for a in planner.ALGORITHMS} - {"dense"}
    assert found.macs == 2 * 13 * 9 * 11 * 3 * 9
    assert found.bytes == 4 * (2 * 3 * 99 + 2 * 13 * 99 + 13 * 3 * 9)
    names = [origin.name.partition("(")[0] for origin in found.kernels]
    assert names == ["packing.Pack", "dense.Spec"]
    assert found.milliseconds is None


def test_every_fact_has_a_line() -> None:
    found = why("conv input ic3ih9oc4kh3", measured=True)
    assert found.plan is not None
    assert found.milliseconds is not None
    assert found.milliseconds > 0
    assert found.plan.cost > 0
    lines = str(found).splitlines()
    assert lines[:7] == [
        "problem    conv input ic3ih9oc4kh3 f32 rows rows",
        "work       5,292 multiply-adds, 2,188 bytes",
        "precision  highest: an error within twice that of torch's own float32 kernels",
        f"CPU        {ours.target()}",
        "runs       ours: a kernel of ours computes conv2d_input_gradient",
        "algorithm  narrow",
        f"schedule   {found.plan.schedule}",
    ]
    assert found.plan.preparation is not None
    assert lines[7:10] == [
        f"workspace  {found.plan.workspace:,} bytes",
        f"threads    {found.plan.threads}",
        f"weights    {found.plan.preparation.size:,} bytes in the kernel's order, "
        "made at every call",
    ]
    assert "otherwise  torch's, where weights are infinite or NaN" in lines
    assert [line.split()[0] for line in lines[10:16]] == [
        "expected",
        "measured",
        "otherwise",
        "kernel",
        "kernel",
        "kernel",
    ]
    assert all(line.endswith(("GFLOP/s", "GFLOP/s, median")) for line in lines[10:12])
    assert lines[16:] == [f"not        {name}: {sentence}" for name, sentence in found.refusals]


def test_what_is_promised_and_how_many_products_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "target", lambda: TILES)
    for asked, products in (("highest", 6), ("high", 3), ("medium", 1)):
        with faltung.precision(asked):
            lines = str(why("ic64ih14oc64kh3ph1")).splitlines()
        assert f"precision  {asked}: {PROMISES[asked]}" in lines
        assert "algorithm  amx" in lines
        assert any(f"schedule   {products} bfloat16 products each, " in line for line in lines)
    assert not any(line.startswith("precision") for line in str(why("ic9oc9 bf16")).splitlines())


def test_a_kernel_is_compiled_once_and_then_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "store", lambda: Store(tmp_path / "kernels", "this"))
    for origin, words in (("compiled", "compiled in "), ("store", "loaded from the store in ")):
        monkeypatch.setattr(kernel, "_known", {})
        kernels = why("ic3ih9oc4kh3").kernels
        assert len(kernels) == 2
        assert {found.origin for found in kernels} == {origin}
        assert all(f", {words}" in str(found) for found in kernels)


def test_what_runs_instead_of_a_guarded_plan_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def plans(*asked: Any) -> list[Any]:
        plan = dense_plan.plans(*asked)[0]
        steps = tuple(replace(step, guards=True) for step in plan.steps)
        return [replace(plan, algorithm="guard", steps=steps)]

    guard = SimpleNamespace(NAME="guard", refuses=lambda *_: None, plans=plans)
    monkeypatch.setattr(planner, "ALGORITHMS", (guard, dense_plan))
    found = why("ic3ih9oc4kh3", measured=True)
    assert found.otherwise is not None
    assert found.otherwise.algorithm == "dense"
    assert "otherwise  dense, where numbers are infinite, NaN, or of a size" in str(found)
    assert found.refusals == (("dense", "guard, which is more special, takes it"),)


def test_what_no_algorithm_takes_is_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    never = SimpleNamespace(NAME="never", refuses=lambda *_: "it takes nothing")
    monkeypatch.setattr(planner, "ALGORITHMS", (never,))
    found = why("ic3ih9oc4kh3", measured=True)
    assert not found.ours
    assert (found.plan, found.kernels, found.milliseconds) == (None, (), None)
    assert found.reason == "no algorithm of ours takes it; torch's operator runs"
    assert str(found).splitlines()[-1] == "not        never: it takes nothing"


CONVOLUTIONS = {
    "plain": (nn.Conv2d(3, 4, 3), (2, 3, 9, 8)),
    "same": (nn.Conv2d(4, 6, (2, 4), stride=2, padding="same", groups=2, flip=True), (1, 4, 7, 9)),
    "reflect": (nn.Conv2d(3, 4, 3, padding=2, padding_mode="reflect", bias=False), (1, 3, 7, 6)),
    "one image": (nn.Conv2d(3, 5, 3, dilation=2, padding=((1, 0), (2, 3))), (3, 11, 8)),
    "transposed": (nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), (2, 3, 5, 6)),
    "depthwise": (nn.Conv2d(6, 6, 3, groups=6), (2, 6, 9, 10)),
}


@pytest.mark.parametrize("last", [False, True], ids=["rows", "channels"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_layer_poses_the_problems_that_its_operators_plan(
    anew: None, name: str, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, shape = CONVOLUTIONS[name]
    x = torch.randn(shape)
    if last and x.dim() == 4:
        x = x.contiguous(memory_format=LAST)
    expected = [why(layer, x, direction=d).problem for d in ("forward", "input", "weight")]
    posed: list[Problem] = []
    explain = planner.explain

    def spy(problem: Problem, *rest: Any) -> planner.Explanation:
        posed.append(problem)
        return explain(problem, *rest)

    monkeypatch.setattr(planner, "explain", spy)
    y = layer(x.requires_grad_())
    y.backward(torch.randn(y.shape).contiguous().as_strided(y.shape, y.stride()))
    assert posed[0] == expected[0]
    assert sorted(map(repr, posed[1:])) == sorted(map(repr, expected[1:]))


def test_layers_of_torch_wait_for_the_switch() -> None:
    layer, x = torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), torch.randn(1, 3, 7, 7)
    found = why(layer, x)
    assert (found.ours, found.plan is not None) == (False, True)
    assert found.reason == (
        "the layer is torch's, and the switch is off; faltung.enable() lets the kernel below run"
    )
    with faltung.enabled():
        assert why(layer, x).ours
    assert found.problem == why(_as_ours(layer), x).problem


def _as_ours(layer: torch.nn.Conv2d) -> nn.Conv2d:
    return nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")


POOLS = [
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), "max forward"),
    (torch.nn.MaxPool2d(3, 2, 1), "max forward"),
    (nn.MinPool2d(2, dilation=2, padding=((1, 0), (0, 1))), "min forward"),
    (nn.AvgPool2d((2, 3), padding="same"), "avg forward"),
    (torch.nn.AvgPool2d(3, count_include_pad=False, divisor_override=5), "avg forward"),
]


@pytest.mark.parametrize(("layer", "words"), POOLS)
def test_pools_pose_problems_in_both_directions(layer: torch.nn.Module, words: str) -> None:
    x = torch.randn(2, 5, 8, 7).contiguous(memory_format=LAST)
    found = why(layer, x)
    y: Tensor = layer(x)
    there, back = found.problem, why(layer, x, direction="input").problem
    assert str(there).startswith(f"{words} mb2ic5ih8iw7")
    assert (there.images, there.channels, there.size, there.result) == (2, 5, (8, 7), y.shape[2:])
    assert there.strides == (x.stride(), (0,) * 4, y.stride())
    indices = there.operation != "avg"
    assert back == replace(there, direction="input", strides=there.strides[::-1], indices=indices)
    if isinstance(layer, torch.nn.AvgPool2d):
        wanted = (layer.divisor_override or 0, layer.count_include_pad)
        assert (there.divisor, there.count_padding) == wanted
    with pytest.raises(ArgumentError, match="pools have no weight"):
        why(layer, x, direction="weight")


def test_transposed_layers_of_torch_pose_the_same_problem_as_ours() -> None:
    x = torch.randn(2, 3, 5, 6)
    arguments: Any = (3, 4, 3, 2, 1, 1)
    theirs = why(torch.nn.ConvTranspose2d(*arguments), x).problem
    assert theirs == why(nn.ConvTranspose2d(*arguments), x).problem


@pytest.mark.parametrize(
    ("x", "kind", "reason"),
    [
        (torch.randn(1, 3, 5, 5).double(), "float64", "no kernel of ours computes in float64"),
        (torch.empty(1, 3, 5, 5, device="meta"), "f32", "the tensors are on meta"),
        (torch.randn(0, 3, 5, 5), "f32", "a tensor has no elements, another type or no plain mem"),
    ],
)
def test_what_is_left_to_torch(x: Tensor, kind: str, reason: str) -> None:
    found = why(nn.Conv2d(3, 4, 3, dtype=x.dtype, device=x.device), x)
    assert not found.ours
    assert found.reason.startswith(reason)
    assert found.problem.kind == kind
    assert found.bytes == x.itemsize * (x.numel() + len(x) * 4 * 9 + 4 * 27)
    assert f"theirs: {reason}" in str(found)


def test_autocast_and_precision_decide_with() -> None:
    layer, x = nn.Conv2d(3, 4, 3), torch.randn(1, 3, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert why(layer, x).problem.kind == "bf16"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        found: list[Why] = [why(layer, x), why("ic3ih6oc4kh3")]
    finally:
        torch.set_float32_matmul_precision(before)
    assert [one.problem.precision for one in found] == ["medium", "medium"]


BAD: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (("ic64k3",), {}, ArgumentError, "'ic64k3' has 'k': the sizes are mb g ic ih iw oc kh"),
    (("ic3sh0",), {}, ArgumentError, "'ic3sh0' has sh 0: it must be at least 1; write it as"),
    (("ic3ph-1",), {}, ArgumentError, "'ic3ph-1' has ph -1: it must be at least 0"),
    (("ic3ih4kh9",), {}, ArgumentError, "the window is larger than the padded image; pad more"),
    (("foo",), {}, ArgumentError, "'foo' is not a problem: write sizes such as"),
    (("max weight ic3",), {}, ArgumentError, "pools have no weight; leave out 'weight'"),
    (("max ic3oc4",), {}, ArgumentError, "pools keep their channels; leave out oc and g"),
    (("ic3",), {"direction": "input"}, ArgumentError, "x or direction is given beside a text"),
    (("ic3", torch.zeros(1)), {}, ArgumentError, "x or direction is given beside a text"),
    (("ic3",), {"direction": "up"}, ArgumentError, "direction is 'up': it must be one of forward,"),
    ((torch.nn.Linear(1, 1),), {}, ArgumentError, "layer_or_text is a Linear: it must be a text"),
    ((nn.LocallyConnected2d(1, 1, 4, 3),), {}, ArgumentError, "weights that are not shared"),
    ((nn.Conv2d(1, 1, 3),), {}, ArgumentError, "x is None: the kernel depends on the input"),
    ((nn.Conv2d(1, 1, 3), 5), {}, DtypeError, "input is a int: conv2d takes a torch.Tensor"),
    ((torch.nn.Conv2d(1, 1, 3), torch.zeros(1, 2, 5, 5)), {}, ShapeError, "1 input channel but"),
]


@pytest.mark.parametrize(("given", "named", "kind", "words"), BAD)
def test_bad_questions_are_answered_with_a_remedy(
    given: tuple[Any, ...], named: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        why(*given, **named)
    assert words in str(caught.value)


def test_inside_a_transform_torchs_operators_run() -> None:
    layer = nn.Conv2d(1, 1, 3)
    with pytest.raises(ArgumentError, match="inside a transform of torch"):
        torch.func.vmap(lambda x: why(layer, x).macs)(torch.randn(2, 1, 1, 5, 5))
