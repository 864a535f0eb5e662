"""The operators under torch's tools: opcheck, compile, export, vmap and functorch's derivatives."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from faltung import functional as F
from faltung import nn

OPERATIONS = torch.ops.faltung
GEOMETRY = ([2, 1], [1, 0, 0, 2], [1, 2], 2, True)
SIZE, STRIDE, SIDES = [3, 2], [2, 1], [1, 0, 0, 1]


def leaf(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return reproducible random numbers that want their gradient."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)
    return values.requires_grad_()


def calls() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return every operator with arguments that exercise all it takes."""
    x, w = leaf(2, 4, 6, 7), leaf(6, 2, 3, 2)
    y = torch.empty(2, 6, 3, 7)
    at = OPERATIONS.max_pool2d(x.detach(), SIZE, STRIDE, SIDES, [1, 1], True)[1]
    mean = (SIZE, STRIDE, SIDES, True, False, None)
    return {
        "conv2d": (OPERATIONS.conv2d, (x, w, leaf(6), *GEOMETRY)),
        "conv2d without bias": (OPERATIONS.conv2d, (x, w, None, *GEOMETRY)),
        "conv2d_input_gradient": (
            OPERATIONS.conv2d_input_gradient,
            (leaf(*y.shape), w, leaf(4), [6, 7], *GEOMETRY),
        ),
        "conv2d_weight_gradient": (
            OPERATIONS.conv2d_weight_gradient,
            (x, leaf(*y.shape), [3, 2], *GEOMETRY, True),
        ),
        "max_pool2d": (OPERATIONS.max_pool2d, (x, SIZE, STRIDE, SIDES, [1, 1], True)),
        "min_pool2d": (OPERATIONS.min_pool2d, (x, SIZE, STRIDE, [1, 1, 0, 0], [1, 2], False)),
        "max_pool2d_values": (
            OPERATIONS.max_pool2d_values,
            (x, SIZE, STRIDE, SIDES, [1, 1], True),
        ),
        "min_pool2d_values": (
            OPERATIONS.min_pool2d_values,
            (x, SIZE, STRIDE, [1, 1, 0, 0], [1, 2], False),
        ),
        "extreme_pool2d_gradient": (
            OPERATIONS.extreme_pool2d_gradient,
            (leaf(*at.shape), at, [6, 7], SIZE, STRIDE, SIDES, [1, 1], True),
        ),
        "avg_pool2d": (OPERATIONS.avg_pool2d, (x, *mean)),
        "avg_pool2d_gradient": (
            OPERATIONS.avg_pool2d_gradient,
            (leaf(*at.shape), [6, 7], *mean),
        ),
        "local2d": (
            OPERATIONS.local2d,
            (x, leaf(3, 4, 2, 4, 3, 2), leaf(2, 3, 4), [2, 2], SIDES, [1, 1]),
        ),
    }


@pytest.mark.parametrize("name", calls())
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_opcheck(name: str) -> None:
    operator, arguments = calls()[name]
    torch.library.opcheck(operator.default, arguments)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_opcheck_in_channels_last() -> None:
    x = leaf(2, 4, 6, 7).detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    torch.library.opcheck(OPERATIONS.conv2d.default, (x, leaf(6, 2, 3, 2), None, *GEOMETRY))
    torch.library.opcheck(OPERATIONS.max_pool2d.default, (x, SIZE, STRIDE, SIDES, [1, 1], True))


def registered() -> set[str]:
    """Return the names of the operators the library registers."""
    prefix = "faltung::"
    return {
        name.removeprefix(prefix).split(".")[0]
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith(prefix)
    }


def test_every_registered_operator_is_checked() -> None:
    assert {name.split(" ")[0] for name in calls()} == registered()


def network() -> torch.nn.Sequential:
    """Return a network of all layers that take any image size."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        nn.Conv2d(2, 4, 3, 2, "same_lower", flip=True),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.MaxPool2d(2, 1, ((1, 0), (0, 1))),
        nn.ConvTranspose2d(4, 2, 3, 2, "same"),
        nn.AvgPool2d(2, padding="same", ceil_mode=True),
        nn.MinPool2d(2, 1),
    )


def gradients(
    function: Callable[[Tensor], Tensor], module: torch.nn.Module, x: Tensor
) -> list[Tensor]:
    """Return result and gradients of the module's parameters and of the input."""
    x = x.clone().requires_grad_()
    module.zero_grad()
    y = function(x)
    y.square().sum().backward()
    assert x.grad is not None
    return [
        y.detach(),
        x.grad,
        *(p.grad.clone() for p in module.parameters() if p.grad is not None),
    ]


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_compiled_network_is_the_eager_one(dynamic: bool) -> None:
    torch.compiler.reset()
    module = network()
    compiled = torch.compile(module, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for size in ((2, 2, 8, 9), (3, 2, 11, 10)):
        x = leaf(*size).detach()
        expected = gradients(module, module, x)
        torch.testing.assert_close(gradients(compiled, module, x), expected)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's default compiler needs g++")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_default_compiler_gives_the_eager_result() -> None:
    torch.compiler.reset()
    module = network()[:3]
    compiled = torch.compile(module, fullgraph=True)
    x = leaf(2, 2, 8, 9).detach()
    torch.testing.assert_close(
        gradients(compiled, module, x), gradients(module, module, x), rtol=1e-4, atol=1e-4
    )


def test_a_dynamic_graph_is_compiled_once_for_all_sizes() -> None:
    torch.compiler.reset()
    graphs = []

    def count(graph: torch.fx.GraphModule, _: list[Any]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    layer = nn.Conv2d(2, 3, 3, 2, "same")
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend=count)
    for size in (8, 9, 12, 15, 20):
        x = leaf(2, 2, size, size + 3).detach()
        torch.testing.assert_close(compiled(x), layer(x))
    assert len(graphs) <= 2


def test_export_takes_the_network() -> None:
    module = network().eval()
    x = leaf(2, 2, 8, 9).detach()
    program = torch.export.export(module, (x,))
    torch.testing.assert_close(program.module()(x), module(x))


POINTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "conv2d": lambda x: F.conv2d(x, torch.ones(2, 2, 3, 2, dtype=x.dtype), None, 2, "same_lower"),
    "conv_transpose2d": lambda x: F.conv_transpose2d(
        x, torch.ones(2, 2, 3, 2, dtype=x.dtype), None, 2, ((1, 0), (0, 1))
    ),
    "max_pool2d": lambda x: F.max_pool2d(x, 2, 1, ((1, 0), (0, 0))),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2, 1, ((1, 0), (0, 0))),
    "local2d": lambda x: F.local2d(x, torch.ones(4, 3, 2, 2, 2, 2, dtype=x.dtype)),
}


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_vmap_runs_every_image(name: str) -> None:
    x = leaf(3, 1, 2, 5, 4, dtype=torch.float64).detach()
    each = torch.stack([POINTWISE[name](image) for image in x])
    torch.testing.assert_close(torch.vmap(POINTWISE[name])(x), each)


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_a_batch_of_gradients_runs_through_backward(name: str) -> None:
    x = leaf(1, 2, 5, 4, dtype=torch.float64)
    y = POINTWISE[name](x)
    unit = torch.eye(y.numel(), dtype=torch.float64).view(y.numel(), *y.shape)
    rows = [torch.autograd.grad(y, x, row, retain_graph=True)[0] for row in unit]
    (together,) = torch.autograd.grad(y, x, unit, is_grads_batched=True)
    torch.testing.assert_close(together, torch.stack(rows))


@pytest.mark.parametrize("name", POINTWISE)
def test_functorchs_gradient_is_autograds(name: str) -> None:
    x = leaf(1, 2, 5, 4, dtype=torch.float64)
    (expected,) = torch.autograd.grad(POINTWISE[name](x).square().sum(), x)
    got = torch.func.grad(lambda x: POINTWISE[name](x).square().sum())(x.detach())
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", POINTWISE)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_forward_derivatives_are_the_backward_ones(name: str) -> None:
    x, direction = leaf(1, 2, 5, 4, dtype=torch.float64), torch.ones(1, 2, 5, 4).double()
    _, expected = torch.autograd.functional.jvp(POINTWISE[name], x.detach(), direction)
    got = torch.func.jvp(POINTWISE[name], (x.detach(),), (direction,))[1]
    torch.testing.assert_close(got, expected)
    with forward_ad.dual_level():
        y = POINTWISE[name](forward_ad.make_dual(x.detach(), direction))
        tangent = forward_ad.unpack_dual(y).tangent
    assert tangent is not None
    torch.testing.assert_close(tangent, expected)


def test_a_window_may_be_of_a_symbolic_size() -> None:
    def whole_image(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, tuple(x.shape[2:]))

    traced = make_fx(whole_image, tracing_mode="symbolic")(torch.randn(2, 3, 5, 6))
    x = torch.randn(2, 3, 9, 4)
    torch.testing.assert_close(traced(x), x.mean((2, 3), keepdim=True))
