"""Prepared weights kept between calls: the same bits, and never those of other weights."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung import functional as F
from faltung import nn
from faltung.compiler.algorithms import dense_plan
from faltung.compiler.call import Call, ready
from faltung.compiler.digest import digest
from faltung.compiler.problem import parse
from faltung.ops import kept, ours

SHAPES = {
    "dense": ((2, 64, 12, 12), (160, 64, 1, 1)),
    "winograd": ((2, 64, 12, 12), (40, 64, 3, 3)),
    "groups": ((1, 64, 9, 9), (128, 32, 3, 3)),
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    kept._kept.clear()
    yield
    kept._kept.clear()


def operands(name: str, layout: torch.memory_format = torch.contiguous_format) -> list[Tensor]:
    random = torch.Generator().manual_seed(3)
    return [
        torch.randint(-4, 5, shape, generator=random).float().contiguous(memory_format=layout)
        for shape in SHAPES[name]
    ]


def convolved(x: Tensor, w: Tensor) -> Tensor:
    return F.conv2d(x, w, None, 1, w.shape[2] // 2, 1, x.shape[1] // w.shape[1])


def right(x: Tensor, w: Tensor) -> Tensor:
    groups = x.shape[1] // w.shape[1]
    return tf.conv2d(x.double(), w.double(), None, 1, w.shape[2] // 2, 1, groups).float()


def holding() -> int:
    return sum(entry.prepared is not None for entry in kept._kept.values())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", SHAPES)
def test_weights_that_stay_are_prepared_once_and_give_the_same_bits(
    name: str, layout: torch.memory_format
) -> None:
    x, w = operands(name, layout)
    x, w = x + torch.rand_like(x), w + torch.rand_like(w)
    first = convolved(x, w)
    assert holding() == 0
    second = convolved(x, w)
    assert holding() == 1
    (entry,) = kept._kept.values()
    third = convolved(x, w)
    assert list(kept._kept.values()) == [entry]
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def _in_place(w: Tensor) -> None:
    with torch.no_grad():
        w.add_(1)


def _data_in_place(w: Tensor) -> None:
    w.data.mul_(2)


def _data_replaced(w: Tensor) -> None:
    w.data = w.detach() + 3


def _numpy(w: Tensor) -> None:
    w.detach().numpy()[-1, -1, -1, -1] += 1


def _one_swap(w: Tensor) -> None:
    flat = w.data.view(-1)
    flat[[0, 1]] = torch.tensor([float(flat[1]) + 1, float(flat[0])])


def _signs(w: Tensor) -> None:
    w.data.neg_()


def _optimiser(w: Tensor) -> None:
    w.grad = torch.ones_like(w)
    torch.optim.SGD([w], lr=1.0).step()


CHANGES = [_in_place, _data_in_place, _data_replaced, _numpy, _one_swap, _signs, _optimiser]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__.strip("_"))
@pytest.mark.parametrize("name", SHAPES)
def test_a_change_of_the_weights_is_seen(name: str, change: Callable[[Tensor], None]) -> None:
    x, w = operands(name)
    w = torch.nn.Parameter(w)
    with torch.no_grad():
        for _ in range(3):
            assert torch.equal(convolved(x, w), right(x, w))
        assert holding() == 1
        for _ in range(2):
            before = w.detach().clone()
            change(w)
            assert not torch.equal(before, w)
            for _ in range(3):
                assert torch.equal(convolved(x, w), right(x, w))
            assert holding() == 1


def test_loading_a_state_is_seen() -> None:
    x, w = operands("winograd")
    layer = nn.Conv2d(64, 40, 3, padding=1, bias=False)
    layer.load_state_dict({"weight": w})
    with torch.no_grad():
        for _ in range(3):
            assert torch.equal(layer(x), right(x, w))
        layer.load_state_dict({"weight": w.flip(0)})
        for _ in range(3):
            assert torch.equal(layer(x), right(x, w.flip(0)))


def test_a_training_keeps_nothing_and_an_evaluation_does() -> None:
    x, w = operands("winograd")
    w = torch.nn.Parameter(w / 64)
    optimiser = torch.optim.SGD([w], lr=1e-3)
    for _ in range(3):
        optimiser.zero_grad()
        convolved(x, w).square().mean().backward()
        optimiser.step()
        assert holding() == 0
    with torch.inference_mode():
        for _ in range(3):
            convolved(x, w)
    assert holding() == 1


def test_transposed_convolution_keeps_its_weights() -> None:
    x, w = torch.randn(1, 64, 9, 9), torch.randn(64, 32, 2, 2)
    with torch.no_grad():
        results = [F.conv_transpose2d(x, w, stride=2) for _ in range(3)]
    assert holding() == 1
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    torch.testing.assert_close(results[0], tf.conv_transpose2d(x, w, stride=2))


def test_what_is_kept_goes_with_its_weights_and_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, w = operands("winograd")
    for _ in range(2):
        convolved(x, w)
    (size,) = (e.prepared.numel() for e in kept._kept.values() if e.prepared is not None)
    monkeypatch.setattr(kept, "LIMIT", 2 * size)
    others = [w + i for i in range(4)]
    for other in others:
        for _ in range(2):
            convolved(x, other)
        assert holding() <= 2
    for other in others:
        assert torch.equal(convolved(x, other), right(x, other))
    del w, other, others
    gc.collect()
    assert not kept._kept


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 2.0**61])
def test_numbers_that_winograd_cannot_treat_are_not_kept(number: float) -> None:
    x, w = operands("winograd")
    w[3, 5, 1, 1] = number
    for _ in range(4):
        found = convolved(x, w)
        assert torch.equal(found.nan_to_num(7, 8, 9), right(x, w).nan_to_num(7, 8, 9))
    assert holding() == 0


def test_weights_with_gaps_are_not_kept() -> None:
    x, w = operands("dense")
    apart = torch.stack([w, w], -1)[..., 0]
    for _ in range(3):
        assert torch.equal(convolved(x, apart), right(x, w))
    assert holding() == 0


def test_a_weight_that_dies_while_others_are_counted_is_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, w = operands("winograd")
    others = [w + i for i in range(3)]
    for other in others:
        for _ in range(2):
            convolved(x, other)
    del other

    def dying(iterable: Any, *rest: Any, strict: bool) -> Any:
        others.clear()
        gc.collect()
        return zip(iterable, *rest, strict=strict)

    monkeypatch.setattr(kept, "zip", dying, raising=False)
    (size,) = {e.prepared.numel() for e in kept._kept.values() if e.prepared is not None}
    monkeypatch.setattr(kept, "LIMIT", size)
    for _ in range(2):
        assert torch.equal(convolved(x, w), right(x, w))
    assert not others
    del w
    gc.collect()
    assert holding() == 0


def test_threads_that_plan_at_once_get_tokens_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(int):
        """A number whose hash lets other threads run."""

        def __hash__(self) -> int:
            time.sleep(0.01)
            return int(self)

    plan = dense_plan.plans(parse("ic64ih8oc160"), ours.target(), 1)[0]
    assert plan.preparation is not None
    calls: list[Call] = []

    def plan_one(number: int) -> None:
        assert plan.preparation is not None
        (step,) = plan.preparation.steps
        other = replace(step, numbers=(Slow(number), *step.numbers[1:]))
        mine = replace(plan, preparation=replace(plan.preparation, steps=(other,)))
        calls.append(ready(mine, ours.target()))

    workers = [threading.Thread(target=plan_one, args=(n,)) for n in range(1, 6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({call.token for call in calls}) == 5


def test_inference_tensors_have_no_version_and_are_followed() -> None:
    x, w = operands("dense")
    with torch.inference_mode():
        w = w.clone()
        for _ in range(3):
            assert torch.equal(convolved(x, w), right(x, w))
            w += 1


def test_many_threads_and_a_changing_weight() -> None:
    x, w = operands("winograd")
    choices = [w.clone(), w + 1]
    answers = [right(x, choice) for choice in choices]
    failed: list[str] = []

    def work() -> None:
        for turn in range(40):
            at = turn % 2
            if not torch.equal(convolved(x, choices[at]), answers[at]):
                failed.append("other weights")

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for turn in range(40):
        kept._kept.clear() if turn % 8 == 0 else None
        changing = w + turn
        assert torch.equal(convolved(x, changing), right(x, changing))
    for worker in workers:
        worker.join()
    assert not failed


FORKING = """
import os, sys
import torch
from test_kept import convolved, operands, right
x, w = operands("winograd")
for _ in range(3):
    convolved(x, w)
answer = right(x, w)  # torch's own kernels hang in a forked child
child = os.fork()
if child == 0:
    os._exit(0 if all(torch.equal(convolved(x, w), answer) for _ in range(3)) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_keeps_weights_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stdout == "0\n", done.stderr[-3000:]


@pytest.mark.parametrize("count", [1, 2, 7, 8, 63, 64, 65, 4097, 70001])
def test_a_fingerprint_does_not_depend_on_threads_and_sees_every_element(count: int) -> None:
    cpu = ours.target()
    x = torch.randn(count)

    def found(threads: int = 1) -> tuple[int, bytes]:
        return digest(x.data_ptr(), 4 * count, cpu, threads)

    whole = found()
    assert found(2) == found(5) == whole
    for place in {0, 1, count // 2, count - 1} & set(range(count)):
        before = float(x[place])
        x[place] = -before
        assert found() != whole
        x[place] = before
    if count > 2:
        x[[0, 2]] = x[[2, 0]]
        assert found() != whole
