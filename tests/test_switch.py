"""The switch: torch's own operators run our kernels inside, torch's outside, results the same.

The kernels here count themselves and compute with torch's operators, which the switch overrides:
every one of them shows that the way back into the switch is barred.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor, nn

from faltung import switch
from faltung.errors import MissingExtraError
from faltung.ops import seam

CONV, INPUT, WEIGHT = "conv2d", "conv2d_input_gradient", "conv2d_weight_gradient"
MAX, EXTREME = "max_pool2d", "extreme_pool2d_gradient"
AVG, MEAN = "avg_pool2d", "avg_pool2d_gradient"
OPERATIONS = (CONV, INPUT, WEIGHT, MAX, EXTREME, AVG, MEAN)


def counting(calls: Counter[str], operation: str) -> Callable[..., Any]:
    """Return a kernel that counts itself and computes with torch's operators."""

    def kernel(*arguments: Any) -> Any:
        calls[operation] += 1
        return seam._theirs[operation](*arguments)

    return kernel


@pytest.fixture
def calls() -> Iterator[Counter[str]]:
    """Count the calls of every kernel that torch's operators can reach."""
    torch.manual_seed(0)
    counter: Counter[str] = Counter()
    before = {operation: seam._ours.get(operation) for operation in OPERATIONS}
    for operation in OPERATIONS:
        seam.set_ours(operation, counting(counter, operation))
    yield counter
    for operation, kernel in before.items():
        seam.set_ours(operation, kernel)
    left_on = switch.is_enabled()
    switch.disable()
    assert not left_on


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the threads of the test tools, and clear the dispatcher of what earlier tests left."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    switch.enable()
    switch.disable()


def values(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return reproducible random numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


def step(module: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """Return the result and the gradients of the input and of all parameters."""
    x = x.detach().requires_grad_()
    y = module(x)
    parameters = list(module.parameters()) if isinstance(module, nn.Module) else []
    weights = torch.linspace(-1, 1, y.numel()).view(y.shape)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), [x, *parameters])]


def overridden() -> list[str]:
    """Return what torch's dispatcher knows about the operators that the switch overrides."""
    return [torch._C._dispatch_dump(f"aten::{name}") for name in switch.OVERRIDES]


ROUNDING = {torch.float32: 2e-5, torch.bfloat16: 3e-2}  # of sums of some dozen products of about 1

Layer = Callable[[], nn.Module]
CONVOLVED, TRANSPOSED = [CONV, INPUT, WEIGHT], [INPUT, CONV, WEIGHT]
LAYERS: dict[str, tuple[Layer, list[str]]] = {
    "conv": (lambda: nn.Conv2d(4, 6, 3), CONVOLVED),
    "conv geometry": (lambda: nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), 2), CONVOLVED),
    "conv depthwise": (lambda: nn.Conv2d(4, 4, 3, groups=4, bias=False), CONVOLVED),
    "conv same": (lambda: nn.Conv2d(4, 6, (3, 5), padding="same", dilation=2), CONVOLVED),
    "conv same, even": (lambda: nn.Conv2d(4, 6, 2, padding="same"), CONVOLVED),
    "conv reflect": (lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), CONVOLVED),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3), TRANSPOSED),
    "transposed geometry": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), 1, (1, 2), 2, dilation=(2, 1)),
        TRANSPOSED,
    ),
    "max": (lambda: nn.MaxPool2d(2), [MAX, EXTREME]),
    "max geometry": (
        lambda: nn.MaxPool2d((3, 2), (2, 1), 1, (1, 2), ceil_mode=True),
        [MAX, EXTREME],
    ),
    "avg": (lambda: nn.AvgPool2d(2), [AVG, MEAN]),
    "avg geometry": (lambda: nn.AvgPool2d((3, 2), (2, 1), 1, True, False), [AVG, MEAN]),
    "avg divisor": (lambda: nn.AvgPool2d(3, 1, divisor_override=5), [AVG, MEAN]),
}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_layers_run_our_kernels_inside_and_torchs_outside(
    name: str, dtype: torch.dtype, layout: torch.memory_format, calls: Counter[str]
) -> None:
    layer, expected_calls = LAYERS[name]
    module, x = layer().to(dtype), values(2, 4, 8, 9, dtype=dtype).contiguous(memory_format=layout)
    expected = step(module, x)
    assert not calls
    with switch.enabled():
        actual = step(module, x)
    assert calls == Counter(expected_calls)
    rounding = ROUNDING[dtype]
    torch.testing.assert_close(actual, expected, rtol=rounding, atol=rounding)
    assert actual[0].stride() == expected[0].stride()
    torch.testing.assert_close(step(module, x), expected, rtol=0, atol=0)
    assert calls == Counter(expected_calls)


def network() -> nn.Sequential:
    """Return a small network of torch's layers."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(4, 3, 2, 2),
        nn.AvgPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(27, 5),
    )


def trained(on: bool) -> list[Tensor]:
    """Return the parameters of the network after two steps, with or without the switch."""
    module, x, labels = network(), values(6, 1, 8, 8), torch.arange(6) % 5
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    (switch.enable if on else switch.disable)()
    for _ in range(2):
        optimizer.zero_grad()
        tf.cross_entropy(module(x), labels).backward()
        optimizer.step()
    switch.disable()
    return [p.detach() for p in module.parameters()]


def test_a_network_trains_the_same(calls: Counter[str]) -> None:
    expected = trained(on=False)
    assert not calls
    torch.testing.assert_close(trained(on=True), expected)
    # The input wants no gradient, so that of the first convolution is not computed.
    assert calls == {CONV: 4, INPUT: 2, WEIGHT: 4, MAX: 2, EXTREME: 2, AVG: 2, MEAN: 2}


class Subclass(Tensor):
    """A tensor of a type of its own."""


X, W, V = values(2, 4, 7, 7), values(6, 4, 3, 3), values(2, 6, 4, 4)
THEIRS: dict[str, Callable[[], Tensor]] = {
    "conv1d": lambda: tf.conv1d(values(2, 4, 9), W[..., 0]),
    "conv3d": lambda: tf.conv3d(values(1, 4, 5, 5, 5), values(2, 4, 3, 3, 3)),
    "float64": lambda: tf.conv2d(X.double(), W.double()),
    "int64": lambda: tf.conv2d(X.long(), W.long()),
    "meta": lambda: torch.tensor(tf.conv2d(X.to("meta"), W.to("meta")).shape),
    "empty batch": lambda: tf.conv2d(X[:0], W),
    "subclass": lambda: tf.conv2d(X.as_subclass(Subclass), W).as_subclass(Tensor),
    "wide output_padding": lambda: tf.conv_transpose2d(V, W, None, 1, 0, 1, 1, 2),
    "max of one image": lambda: tf.max_pool2d(X[0], 2),
    "max of float64": lambda: tf.max_pool2d(X.double(), 2),
    "max of padding": lambda: tf.max_pool2d(X[..., :3, :3], 2, 1, 1, 4),
    "max that hangs over": lambda: tf.max_pool2d(X[..., :2, :2], 3, 2, ceil_mode=True),
    "avg of one image": lambda: tf.avg_pool2d(X[0], 2),
    "avg of int64": lambda: tf.avg_pool2d(X.long(), 2),
    "conv1d backward": lambda: step(lambda x: tf.conv1d(x, W[..., 0]), values(2, 4, 9))[1],
    "float64 backward": lambda: step(lambda x: tf.conv2d(x, W.double()), X.double())[1],
    "adaptive": lambda: tf.adaptive_avg_pool2d(X, 3),
}


@pytest.mark.parametrize("name", THEIRS)
def test_what_is_not_ours_is_torchs(name: str, calls: Counter[str]) -> None:
    expected = THEIRS[name]()
    with switch.enabled():
        actual = THEIRS[name]()
    assert torch.equal(actual, expected)
    assert actual.dtype == expected.dtype
    assert not calls


WRONG: dict[str, Callable[[], Tensor]] = {
    "channels": lambda: tf.conv2d(X, W[:, :3]),
    "groups": lambda: tf.conv2d(X, W, groups=4),
    "no groups": lambda: tf.conv2d(X, W, groups=0),
    "padding": lambda: tf.conv2d(X, W, padding=-1),
    "stride": lambda: tf.conv2d(X, W, stride=0),
    "dilation": lambda: tf.conv2d(X, W, dilation=0),
    "three strides": lambda: tf.conv2d(X, W, stride=(1, 1, 1)),
    "window": lambda: tf.conv2d(X, W, dilation=4),
    "bias": lambda: tf.conv2d(X, W, torch.zeros(5)),
    "type": lambda: tf.conv2d(X, W.bfloat16()),
    "type of bias": lambda: tf.conv2d(X, W, torch.zeros(6).double()),
    "transposed channels": lambda: tf.conv_transpose2d(X, W),
    "transposed size": lambda: tf.conv_transpose2d(V, W, padding=4),
    "output_padding": lambda: tf.conv_transpose2d(V, W, None, 2, 0, 2),
    "max padding": lambda: tf.max_pool2d(X, 2, padding=2),
    "max window": lambda: tf.max_pool2d(X, 8),
    "max stride": lambda: tf.max_pool2d(X, 2, 0),
    "avg padding": lambda: tf.avg_pool2d(X, 2, padding=-1),
    "avg window": lambda: tf.avg_pool2d(X, (2, 8)),
    "avg divisor": lambda: tf.avg_pool2d(X, 2, divisor_override=0),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_torchs(name: str, calls: Counter[str]) -> None:
    with pytest.raises(Exception) as expected:  # noqa: PT011  (what it is, the next line says)
        WRONG[name]()
    with pytest.raises(expected.type) as actual, switch.enabled():
        WRONG[name]()
    assert str(actual.value) == str(expected.value)
    assert not calls


def test_wrong_arguments_of_backward_are_judged_by_torch(calls: Counter[str]) -> None:
    aten = torch.ops.aten
    with switch.enabled(), pytest.raises(RuntimeError):
        aten.max_pool2d_with_indices_backward(V, X, [2, 2], [2, 2], [0, 0], [1, 1], False, V.long())
    with switch.enabled(), pytest.raises(RuntimeError):
        aten.avg_pool2d_backward(V, X, [2, 2], [2, 2], [0, 0], False, True, None)
    assert not calls


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_positions_of_a_backward_may_be_anywhere_in_the_image(
    layout: torch.memory_format, calls: Counter[str]
) -> None:
    x, dy = (values(2, 9, *n).contiguous(memory_format=layout) for n in ((6, 8), (3, 4)))
    at = torch.randint(0, 48, dy.shape).contiguous(memory_format=layout)
    backward = torch.ops.aten.max_pool2d_with_indices_backward
    given = (dy, x, [2, 2], [2, 2], [0, 0], [1, 1], False, at)
    expected = backward(*given)
    with switch.enabled():
        assert torch.equal(backward(*given), expected)
    assert calls == {EXTREME: 1}


def test_each_gradient_is_ours_where_we_have_it(calls: Counter[str]) -> None:
    modules = nn.Conv2d(4, 6, 3), nn.ConvTranspose2d(4, 6, 3)
    expected = [step(module, X) for module in modules]
    kernels = {name: seam._ours[name] for name in OPERATIONS}
    for left in (INPUT, WEIGHT, CONV):
        for name in OPERATIONS:
            seam.set_ours(name, kernels[name] if name == left else None)
        calls.clear()
        with switch.enabled():
            actual = [step(module, X) for module in modules]
        for pair in zip(actual, expected, strict=True):
            torch.testing.assert_close(*pair)
        assert calls == {left: 2}


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_frozen_parameters(frozen: str, calls: Counter[str]) -> None:
    module = nn.Conv2d(4, 6, 3)
    getattr(module, frozen).requires_grad_(False)

    def gradients() -> list[Tensor | None]:
        module.zero_grad()
        x = X.clone().requires_grad_()
        module(x).square().sum().backward()
        return [x.grad, *(p.grad for p in module.parameters())]

    expected = gradients()
    with switch.enabled():
        for a, b in zip(gradients(), expected, strict=True):
            torch.testing.assert_close(a, b)  # None is close to None
    assert calls == Counter([CONV, INPUT] if frozen == "weight" else CONVOLVED)


def test_second_derivatives(calls: Counter[str]) -> None:
    def second() -> tuple[Tensor, ...]:
        x, w = X.clone().requires_grad_(), W.clone().requires_grad_()
        (dx,) = torch.autograd.grad(tf.conv2d(x, w).square().sum(), x, create_graph=True)
        return torch.autograd.grad(dx.square().sum(), [x, w])

    expected = second()
    with switch.enabled():
        torch.testing.assert_close(second(), expected, rtol=1e-4, atol=1e-3)
    assert calls[CONV] > 1


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients(mode: Callable[[], Any], calls: Counter[str]) -> None:
    module, x = network().eval(), values(2, 1, 8, 8)
    with mode():
        expected = module(x)
        with switch.enabled():
            actual = module(x)
    torch.testing.assert_close(actual, expected)
    assert calls == {CONV: 1, MAX: 1, INPUT: 1, AVG: 1}


def test_autocast_casts_once_and_not_in_our_kernels(calls: Counter[str]) -> None:
    dy = values(2, 6, 5, 5)
    backward = ([6], [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, True, True])
    with torch.autocast("cpu", torch.bfloat16):
        expected = tf.conv2d(X, W)
        gradients = torch.ops.aten.convolution_backward(dy, X, W, *backward)
        with switch.enabled():
            assert torch.equal(tf.conv2d(X, W), expected)
            actual = torch.ops.aten.convolution_backward(dy, X, W, *backward)
    assert expected.dtype == torch.bfloat16
    torch.testing.assert_close(actual, gradients)
    assert calls == Counter(CONVOLVED)


def test_vmap_and_negated_views(calls: Counter[str]) -> None:
    images = values(3, 1, 4, 7, 7)
    negated = torch.complex(X, X).conj().imag
    expected = torch.vmap(tf.conv2d, (0, None))(images, W), tf.conv2d(negated, W)
    with switch.enabled():
        actual = torch.vmap(tf.conv2d, (0, None))(images, W), tf.conv2d(negated, W)
    torch.testing.assert_close(actual, expected)
    assert calls == {CONV: 2}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_traced_model_runs_our_kernels(calls: Counter[str]) -> None:
    module = nn.Conv2d(4, 6, 3)
    traced = torch.jit.trace(module, X)
    with switch.enabled():
        torch.testing.assert_close(traced(X), module(X))
    assert calls == {CONV: 2}


WITHOUT_GPP = pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs g++")


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=WITHOUT_GPP)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_model_stays_right(backend: str, calls: Counter[str]) -> None:
    torch.compiler.reset()
    module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2))
    expected = step(module, X)
    compiled = torch.compile(module, backend=backend)
    for state in (switch.enable, switch.disable, switch.enable):
        state()
        torch.testing.assert_close(step(compiled, X), expected, rtol=1e-4, atol=1e-4)
    switch.disable()
    if backend == "aot_eager":
        assert calls == {CONV: 2, INPUT: 2, WEIGHT: 2, MAX: 2, EXTREME: 2}


def test_the_state_is_what_was_asked_for_last() -> None:
    for turn, on in ((switch.disable, False), (switch.enable, True), (switch.disable, False)):
        turn()
        turn()
        assert switch.is_enabled() is on
    with switch.enabled():
        with switch.enabled():
            switch.disable()
            assert not switch.is_enabled()
        assert switch.is_enabled()
    assert not switch.is_enabled()


@pytest.mark.parametrize("on", [False, True])
def test_an_error_restores_what_was(on: bool, calls: Counter[str]) -> None:
    (switch.enable if on else switch.disable)()
    with pytest.raises(RuntimeError, match="to have 3 channels"), switch.enabled():
        tf.conv2d(X, W[:, :3])
    assert switch.is_enabled() is on
    tf.conv2d(X, W)
    assert calls == Counter([CONV] * on)
    switch.disable()


def test_blocks_overlap() -> None:
    first, second = switch.enabled(), switch.enabled()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert switch.is_enabled()
    second.__exit__(None, None, None)
    assert not switch.is_enabled()


@pytest.mark.usefixtures("alone")
def test_torchs_dispatcher_is_as_it_was() -> None:
    before = overridden()
    with switch.enabled():
        assert all(a != b for a, b in zip(overridden(), before, strict=True))
    assert overridden() == before


@pytest.mark.usefixtures("alone")
def test_overrides_stay_while_there_are_other_threads(
    monkeypatch: pytest.MonkeyPatch, calls: Counter[str]
) -> None:
    before = overridden()
    with switch.enabled(), monkeypatch.context() as patch:
        patch.setattr(threading, "active_count", lambda: 2)
        switch.disable()
        assert overridden() != before
        tf.max_pool2d(tf.conv2d(X, W), 2)
    assert not calls
    assert overridden() == before


@pytest.mark.usefixtures("alone")
def test_a_kernel_may_turn_the_switch(calls: Counter[str]) -> None:
    def turning(*arguments: Any) -> Any:
        switch.disable()
        return seam._theirs[CONV](*arguments)

    expected = tf.conv2d(X, W)
    seam.set_ours(CONV, turning)
    switch.enable()
    assert torch.equal(tf.conv2d(X, W), expected)
    assert not switch.is_enabled()


def test_a_broken_kernel_is_heard_and_the_way_in_stays_open(calls: Counter[str]) -> None:
    def broken(*_: Any) -> Any:
        raise ArithmeticError("broken")

    kernel = seam._ours[CONV]
    with switch.enabled():
        seam.set_ours(CONV, broken)
        with pytest.raises(ArithmeticError, match="broken"):
            tf.conv2d(X, W)
        seam.set_ours(CONV, kernel)
        tf.conv2d(X, W)
    assert calls == {CONV: 1}


def test_threads_turn_the_switch_while_others_compute(calls: Counter[str]) -> None:
    module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.MaxPool2d(2))
    expected = step(module, X)
    wrong: list[BaseException] = []

    def repeat(work: Callable[[], None]) -> None:
        try:
            for _ in range(200):
                work()
        except BaseException as error:
            wrong.append(error)

    def compute() -> None:
        torch.testing.assert_close(step(module, X), expected)

    def turn() -> None:
        with switch.enabled():
            compute()

    threads = [threading.Thread(target=repeat, args=(work,)) for work in (compute, turn, turn)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert calls[CONV] > 0
    assert not switch.is_enabled()


def test_an_older_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.library, "get_kernel")
    with pytest.raises(
        MissingExtraError, match=r"^torch is .*: the switch needs torch.library.get_k"
    ):
        switch.enable()
    with pytest.raises(MissingExtraError, match=r"pip install 'torch>=2.9'"), switch.enabled():
        raise AssertionError
    assert not switch.is_enabled()
    switch.disable()
