"""The state of a training: its generators, its moving average, its way to a file and back."""

from pathlib import Path

import pytest
import torch

from faltung.errors import RunError
from faltung.recognition import checkpoint, state
from faltung.recognition.checkpoint import Facts
from faltung.recognition.config import Config, make
from faltung.recognition.dataset import DIGITS_FRAME

FACTS = Facts(("a", "b"), DIGITS_FRAME, 0.3, 0.4)
CPU = torch.device("cpu")


def tiny(**more: object) -> Config:
    return make({"widths": [[4], [6]], **more})


def stepped(held: state.State) -> None:
    """Make one step of the optimizer, in place."""
    images = torch.rand(6, 1, 8, 8)
    held.model(images).square().sum().backward()
    held.optimizer.step()
    held.optimizer.zero_grad()


def test_a_generator_is_its_key() -> None:
    def draw(*key: int) -> list[float]:
        return torch.rand(4, generator=state.generator(*key)).tolist()

    assert draw(1, 2, 3) == draw(1, 2, 3)
    others = [draw(*key) for key in ((1, 2, 3), (1, 2), (1, 23), (12, 3), (3, 2, 1), (1, 3, 2))]
    assert len({tuple(drawn) for drawn in others}) == len(others)


def test_the_first_average_is_near_the_weights_and_later_ones_are_slow() -> None:
    held = state.start(FACTS, tiny(), CPU)
    weight, mean = held.model.head.weight, held.average.head.weight
    with torch.no_grad():
        mean.zero_()
        weight.fill_(1)
    state.update_average(held, 1, 0.98)
    assert mean.flatten()[0].item() == pytest.approx(1 - 2 / 11)
    with torch.no_grad():
        mean.zero_()
    state.update_average(held, 10_000, 0.98)
    assert mean.flatten()[0].item() == pytest.approx(0.02)


def test_the_average_follows_the_norms_too() -> None:
    held = state.start(FACTS, tiny(), CPU)
    held.model(torch.rand(6, 1, 8, 8))
    before = [t.clone() for t in held.average.buffers() if t.is_floating_point()]
    state.update_average(held, 1, 0.5)
    after = [t for t in held.average.buffers() if t.is_floating_point()]
    assert len(before) == 4
    assert not any(torch.equal(b, a) for b, a in zip(before, after, strict=True))
    counts = [t.item() for t in held.average.buffers() if not t.is_floating_point()]
    assert counts == [1, 1]


def test_only_kernels_and_matrices_decay() -> None:
    held = state.start(FACTS, tiny(weight_decay=0.5), CPU)
    decay = {
        id(p): group["weight_decay"]
        for group in held.optimizer.param_groups
        for p in group["params"]
    }
    for name, parameter in held.model.named_parameters():
        assert decay[id(parameter)] == (0.5 if parameter.dim() > 1 else 0), name


def test_a_state_comes_back_to_the_bit(tmp_path: Path) -> None:
    config = tiny(seed=5)
    held = state.start(FACTS, config, CPU)
    stepped(held)
    state.update_average(held, 1, config.ema)
    held.epoch, held.step, held.loss, held.right, held.waited = 3, 7, 0.1 + 0.2, 5.0, 2
    held.history = [{"epoch": 1.0, "train_loss": 1 / 3}]
    state.save(held, FACTS, config, tmp_path / checkpoint.LAST)
    expected = torch.rand(3)
    torch.manual_seed(99)
    back, known = state.restore(tmp_path / checkpoint.LAST, CPU, FACTS)
    assert torch.equal(torch.rand(3), expected)
    assert known == config
    for name in ("epoch", "step", "loss", "right", "waited", "best_accuracy", "history"):
        assert getattr(back, name) == getattr(held, name), name
    torch.manual_seed(1)
    stepped(held)
    torch.manual_seed(1)
    stepped(back)
    for part in ("model", "average"):
        ours, theirs = getattr(held, part).state_dict(), getattr(back, part).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours), part


def test_what_another_version_wrote_is_refused(tmp_path: Path) -> None:
    config, file = tiny(), tmp_path / checkpoint.LAST
    held = state.start(FACTS, config, CPU)
    state.save(held, FACTS, config, file)
    tensors, notes = checkpoint.load(file)
    del notes["state"]["waited"]
    checkpoint.save(file, tensors, notes)
    with pytest.raises(RunError) as caught:
        state.restore(file, CPU, FACTS)
    assert str(caught.value) == f"{file} lacks 'waited': it was written by another version"
