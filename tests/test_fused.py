"""A convolution and what follows it: the same as one operation after the other."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor

from convolving import HOST, TARGETS
from faltung import functional as F
from faltung.compiler import planner
from faltung.compiler.problem import parse
from faltung.errors import ArgumentError, DtypeError, ShapeError
from faltung.ops import convolution, fused, kept, ours
from guarded import SIDES, flat

ACTIVATIONS: dict[str | None, Any] = {
    None: lambda y: y,
    "relu": tf.relu,
    "relu6": tf.relu6,
    "silu": tf.silu,
}
POOLS: dict[str | None, Any] = {
    None: lambda y: y,
    "max": lambda y: tf.max_pool2d(y, 2),
    "avg": lambda y: tf.avg_pool2d(y, 2),
}
SHAPES = {  # input, weight, stride, padding, groups
    "dense": ((2, 12, 9, 11), (20, 12, 3, 3), 1, 1, 1),
    "strided": ((1, 8, 12, 13), (33, 8, 3, 3), 2, 1, 1),
    "pixels": ((3, 16, 5, 6), (24, 16, 1, 1), 1, 0, 1),
    "woven": ((1, 32, 8, 9), (32, 4, 3, 3), 1, 1, 8),
    "depthwise": ((2, 20, 9, 10), (20, 1, 3, 3), 1, 1, 20),
    "winograd": ((2, 32, 11, 13), (40, 32, 3, 3), 1, 1, 1),
    "winograd 4x4": ((1, 48, 27, 30), (40, 48, 3, 3), 1, 1, 1),
}
CASES = [
    (name, activation, pool, added)
    for name, activation, pool, added in itertools.product(
        SHAPES, ACTIVATIONS, POOLS, (False, True)
    )
]


def data(name: str, last: bool, dtype: torch.dtype = torch.float32) -> tuple[list[Tensor], Any]:
    """Return (x, w, bias, residual) of small whole numbers, and (stride, padding, dilation, g)."""
    shape, window, stride, padding, groups = SHAPES[name]
    random = torch.Generator().manual_seed(5)

    def whole(*sizes: int) -> Tensor:
        made = torch.randint(-3, 4, sizes, generator=random).to(dtype)
        form = torch.channels_last if last and made.dim() == 4 else torch.contiguous_format
        return made.contiguous(memory_format=form)

    x, w, bias = whole(*shape), whole(*window), whole(window[0])
    geometry = (stride, padding, 1, groups)
    y = tf.conv2d(x.double(), w.double(), None, *geometry)
    return [x, w, bias, whole(*y.shape)], geometry


def right(tensors: Sequence[Tensor | None], geometry: Any, activation: Any, pool: Any) -> Tensor:
    """Return the result in float64."""
    x, w, bias, residual = (None if t is None else t.double() for t in tensors)
    assert x is not None
    assert w is not None
    y = tf.conv2d(x, w, bias, *geometry)
    result: Tensor = POOLS[pool](ACTIVATIONS[activation](y if residual is None else y + residual))
    return result


@pytest.fixture(params=TARGETS)
def level(anew: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Pretend an instruction set."""
    monkeypatch.setattr(ours, "target", lambda: TARGETS[request.param])
    kept._kept.clear()
    return str(request.param)


@pytest.mark.no_cover
@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("name", SHAPES)
def test_fused_is_the_same_as_one_after_the_other(name: str, last: bool, level: str) -> None:
    (x, w, bias, residual), geometry = data(name, last)
    fuses = name.startswith("winograd")  # other kernels leave the pool to one of its own
    every = [
        (activation, pool, added)
        for activation, pool, added in itertools.product(ACTIVATIONS, POOLS, (False, True))
        if pool is None or (not added if fuses else activation == "relu")
    ]
    few = [("relu", "max", False), ("silu", None, True)]
    for activation, pool, added in every if TARGETS[level] == HOST else few:
        summand = residual if added else None
        expected = right([x, w, bias, summand], geometry, activation, pool)
        for _ in range(3 if pool is None or fuses else 1):  # packed anew, prepared, and kept
            found = F.conv2d_fused(
                x, w, bias, *geometry, residual=summand, activation=activation, pool=pool
            )
            assert found.is_contiguous(
                memory_format=torch.channels_last if last else torch.contiguous_format
            )
            if activation == "silu" or name == "winograd 4x4":
                within = 1e-6 if name != "winograd 4x4" else 1e-3
                torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=within)
            else:
                assert torch.equal(found.double(), expected), (activation, pool, added, level)


@pytest.mark.no_cover
@pytest.mark.parametrize(("name", "activation", "pool", "added"), CASES)
def test_which_kernel_does_it_all(
    anew: None, name: str, activation: str | None, pool: str | None, added: bool
) -> None:
    (x, w, bias, residual), geometry = data(name, True)
    one = name != "depthwise" or not added
    first = activation is None or (pool == "max" and activation in {"relu", "relu6"})
    pooled = name.startswith("winograd") and first and not added
    pools = {key: mock.Mock(wraps=does) for key, does in fused.POOLS.items()}
    with (
        mock.patch.object(ours, "target", return_value=replace(HOST, tiles="")),
        mock.patch.dict(fused.POOLS, pools),
        mock.patch.object(convolution, "conv2d", side_effect=RuntimeError("apart")) as apart,
    ):
        try:
            F.conv2d_fused(
                x, w, bias, *geometry, residual=residual if added else None,
                activation=activation, pool=pool,
            )  # fmt: skip
        except RuntimeError:
            assert apart.called
    assert apart.called != one
    if one and pool is not None:
        assert pools[pool].called != pooled


def test_bfloat16() -> None:
    (x, w, bias, residual), geometry = data("dense", False, torch.bfloat16)
    found = F.conv2d_fused(x, w, bias, *geometry, residual=residual, activation="relu")
    expected = right([x, w, bias, residual], geometry, "relu", None)
    torch.testing.assert_close(found.double(), expected, rtol=2**-8, atol=0)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", ["dense", "winograd"])
def test_a_residual_is_read_within_its_memory(name: str, side: str) -> None:
    (x, w, bias, residual), geometry = data(name, False)
    beside = flat(residual.numel(), torch.float32, side).view(residual.shape)
    beside.copy_(residual)
    found = F.conv2d_fused(x, w, bias, *geometry, residual=beside)
    assert torch.equal(found.double(), right([x, w, bias, residual], geometry, None, None))


def test_a_residual_in_another_format_and_one_image() -> None:
    (x, w, bias, residual), geometry = data("dense", False)
    expected = right([x, w, bias, residual], geometry, "relu", None)
    other = residual.contiguous(memory_format=torch.channels_last)
    assert torch.equal(
        F.conv2d_fused(x, w, bias, *geometry, residual=other, activation="relu").double(), expected
    )
    for alone in (residual[0], residual[:1]):
        found = F.conv2d_fused(x[0], w, bias, *geometry, residual=alone, activation="relu")
        assert torch.equal(found.double(), expected[0])


def test_gradients_are_those_of_the_parts() -> None:
    (x, w, bias, residual), geometry = data("winograd", False)
    leaves = [t.clone().requires_grad_() for t in (x, w, bias, residual)]
    twins = [t.double().requires_grad_() for t in (x, w, bias, residual)]
    image, weight, added, summand = leaves
    y = F.conv2d_fused(
        image, weight, added, *geometry, residual=summand, activation="silu", pool="avg"
    )
    expected = right(twins, geometry, "silu", "avg")
    random = torch.randn(y.shape)
    y.backward(random)
    expected.backward(random.double())
    for leaf, twin in zip(leaves, twins, strict=True):
        assert leaf.grad is not None
        torch.testing.assert_close(leaf.grad.double(), twin.grad, rtol=1e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_autocast_transforms_and_compilation() -> None:
    (x, w, bias, residual), geometry = data("dense", False)

    def run(image: Tensor) -> Tensor:
        return F.conv2d_fused(image, w, bias, *geometry, residual=residual, activation="relu")

    expected = right([x, w, bias, residual], geometry, "relu", None)
    assert torch.equal(torch.compile(run, backend="eager")(x).double(), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(run(x).double(), expected, rtol=2**-7, atol=1.0)
    seen = torch.func.vmap(run)(torch.stack([x, x]))
    assert torch.equal(seen[1].double(), expected)


def test_strange_numbers_through_silu() -> None:
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([nan, inf, -inf, 0.0, 1e-40, -1e-40, 88.8, -88.8, -104.0, 3e38, -3e38])
    image = x.view(1, 1, 1, -1)
    found = F.conv2d_fused(image, torch.ones(1, 1, 1, 1), activation="silu").flatten()
    torch.testing.assert_close(found, tf.silu(x), rtol=1e-6, atol=1e-44, equal_nan=True)


def test_silu_is_exact_to_few_units_in_the_last_place(level: str) -> None:
    x = torch.linspace(-80, 80, 160_001).view(1, 1, 1, -1)
    found = F.conv2d_fused(x, torch.ones(1, 1, 1, 1), activation="silu").double()
    expected = tf.silu(x.double())
    error = ((found - expected).abs() / expected.abs().clamp(min=1e-35)).max()
    assert error < 4 * 2**-23, (float(error) * 2**23, level)


@pytest.mark.parametrize(
    ("mistake", "kind", "message"),
    [
        ({"activation": "tanh"}, ArgumentError,
         r"activation is 'tanh': it must be one of 'relu', 'relu6', 'silu', or None"),
        ({"activation": ""}, ArgumentError, r"activation is '': it must be one of"),
        ({"pool": "min"}, ArgumentError, r"pool is 'min': it must be one of 'max', 'avg', or None"),
        ({"residual": torch.zeros(2, 20, 9, 10)}, ShapeError,
         r"residual has shape \(2, 20, 9, 10\) but the convolution \(2, 20, 9, 11\): it is added "
         r"element by element; give it the same shape"),
        ({"residual": torch.zeros(2, 20, 9, 11).double()}, DtypeError,
         r"input is float32 but residual is float64"),
        ({"stride": 9, "pool": "max"}, ShapeError,
         r"pool is 'max' but the convolution is 1 x 2: windows of 2x2 need 2 rows and 2 columns"),
    ],
)  # fmt: skip
def test_mistakes_are_named(mistake: dict[str, Any], kind: type[Exception], message: str) -> None:
    (x, w, bias, _), _ = data("dense", False)
    with pytest.raises(kind, match=message):
        F.conv2d_fused(x, w, bias, **{"stride": 1, "padding": 1, **mistake})


def test_texts_of_fused_problems() -> None:
    text = "conv forward ic32ih11oc40kh3ph1 f32 rows rows bias relu max2"
    problem = parse(text)
    assert str(problem) == text
    assert (problem.activation, problem.pool, problem.result) == ("relu", "max", (11, 11))
    assert problem.strides[2] == (40 * 25, 25, 5, 1)
    plain = replace(HOST, tiles="")
    assert planner.explain(problem, plain, 1).plan.algorithm == "winograd"
    added = parse("ic32ih11oc40kh3ph1 sum silu")
    assert str(added) == "conv forward ic32ih11oc40kh3ph1 f32 rows rows sum silu"
    assert added.bytes - parse("ic32ih11oc40kh3ph1 silu").bytes == 4 * 40 * 121
    with pytest.raises(planner.NoAlgorithmError, match="pools before the activation"):
        planner.explain(parse("ic32ih11oc40kh3ph1 silu max2"), plain, 1)
    with pytest.raises(planner.NoAlgorithmError, match="a pool of its own after it"):
        planner.explain(problem, TARGETS["tiles"], 1)


@pytest.mark.parametrize("where", ["input", "weight"])
@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize("number", [float("inf"), float("nan"), 2.0**61])
def test_numbers_that_the_kernel_cannot_treat_go_one_after_the_other(
    number: float, pool: str, where: str
) -> None:
    (x, w, bias, _), geometry = data("winograd", False)
    for _ in range(3):
        assert F.conv2d_fused(x, w, bias, *geometry, pool=pool).isfinite().all()
    if where == "input":
        x[1, 3, 4, 5] = number
    else:
        w[2, 1, 1, 1] = number
    expected = POOLS[pool](F.conv2d(x, w, bias, *geometry))
    for _ in range(3):
        found = F.conv2d_fused(x, w, bias, *geometry, pool=pool)
        torch.testing.assert_close(found, expected, equal_nan=True)


def test_a_residual_is_judged_at_every_call() -> None:
    (x, w, _, residual), geometry = data("dense", False)
    expected = right([x, w, None, residual], geometry, None, None)
    assert torch.equal(F.conv2d_fused(x, w, None, *geometry, residual=residual).double(), expected)
    with torch.autocast("cpu", torch.bfloat16):
        F.conv2d_fused(x, w, None, *geometry, residual=residual.bfloat16())
    with pytest.raises(DtypeError, match="residual is bfloat16"):
        F.conv2d_fused(x, w, None, *geometry, residual=residual.bfloat16())
    negated = torch._neg_view(-residual)
    for summand in (negated, residual):
        found = F.conv2d_fused(x, w, None, *geometry, residual=summand)
        assert torch.equal(found.double(), expected)


@pytest.mark.parametrize("text", ["max ic8ih8kh2 relu", "conv weight ic8ih8oc8kh3 sum",
                                  "conv input ic8ih8oc8kh3 max2"])  # fmt: skip
def test_what_follows_follows_forward_convolutions_alone(text: str) -> None:
    with pytest.raises(ValueError, match="follows a convolution, forward"):
        parse(text)
