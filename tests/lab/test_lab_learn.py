"""Learning a kernel: the same numbers as the seeds' loop in torch, in plain and strict form."""

import pytest
import torch
from httpx import Client

from faltung.lab.learn import LearnAsked, edge_example, learn


def test_it_goes_the_way_of_the_seeds_loop() -> None:
    x, y = edge_example()
    assert y[0, 0, 0].tolist() == [0, 1, 0, 0, 0, -1, 0]
    told = learn(LearnAsked(seed=5, rate=0.03, steps=10))
    w = torch.tensor(told.kernels[0]).reshape(1, 1, 1, 2).requires_grad_()
    for step in range(10):
        loss = ((torch.nn.functional.conv2d(x, w) - y) ** 2).sum()
        assert told.losses[step] == pytest.approx(loss.item(), rel=1e-5)
        loss.backward()
        assert w.grad is not None
        with torch.no_grad():
            w -= 0.03 * w.grad
        w.grad = None
        assert told.kernels[step + 1] == pytest.approx(w.flatten().tolist(), abs=1e-6)
    assert told.losses[10] < told.losses[0] / 50


@pytest.mark.parametrize(("flip", "learned"), [(False, [1, -1]), (True, [-1, 1])])
def test_strict_convolution_learns_the_kernel_turned(flip: bool, learned: list[int]) -> None:
    told = learn(LearnAsked(seed=1, steps=100, flip=flip))
    assert told.kernels[-1] == pytest.approx(learned, abs=1e-3)
    assert torch.tensor(told.output).allclose(torch.tensor(told.target), atol=1e-3)


def test_steps_one_by_one_are_the_steps_at_once() -> None:
    whole = learn(LearnAsked(seed=2, steps=6))
    kernel = whole.kernels[0]
    losses: list[float] = []
    for _ in range(6):
        told = learn(LearnAsked(kernel=kernel, steps=1))
        kernel, losses = told.kernels[-1], [*losses, told.losses[0]]
    assert kernel == pytest.approx(whole.kernels[-1], abs=1e-6)
    assert losses == pytest.approx(whole.losses[:-1], rel=1e-5)


def test_the_gradient_is_that_of_the_loss() -> None:
    told = learn(LearnAsked(kernel=[0.5, 0.5], steps=0))
    small = 1e-3
    up = learn(LearnAsked(kernel=[0.5 + small, 0.5], steps=0)).losses[0]
    down = learn(LearnAsked(kernel=[0.5 - small, 0.5], steps=0)).losses[0]
    assert told.gradient[0] == pytest.approx((up - down) / (2 * small), rel=1e-2)


def test_a_rate_that_leads_away_is_named(client: Client) -> None:
    answer = client.post("/api/learn", json={"rate": 0.9, "steps": 200})
    assert answer.status_code == 422
    fault = answer.json()["error"]
    assert fault["kind"] == "TrainingError"
    assert "a rate of 0.9 is too large, so that every step leads further away" in fault["message"]


@pytest.mark.parametrize("rate", [0, -1, 1.5])
def test_a_rate_out_of_range(client: Client, rate: float) -> None:
    answer = client.post("/api/learn", json={"rate": rate})
    assert answer.status_code == 422
    assert f"rate is {float(rate)}: it must be above 0" in answer.json()["error"]["message"]
