"""The benchmark of whole networks: they are the published ones, and a tiny one is measured."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import faltung
from faltung.bench import whole, whole_run
from faltung.bench.networks import (
    NETWORKS,
    VGG16,
    LeNet5,
    MobileNetV2,
    Network,
    ResNet50,
    UNet,
    built,
)
from faltung.bench.timing import Spread
from faltung.errors import ArgumentError

NARROW = {
    "lenet": Network(lambda: LeNet5(3), (1, 28, 28)),
    "resnet": Network(lambda: ResNet50(2, 10), (3, 64, 64)),
    "vgg": Network(lambda: VGG16(2, 10, 8), (3, 32, 32)),
    "mobilenet": Network(lambda: MobileNetV2(4, 10), (3, 64, 64)),
    "unet": Network(lambda: UNet(2, 2), (3, 16, 24)),
}


def tiny() -> nn.Module:
    """Return a network with a convolution and a pool."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))


class Spoiled(nn.Sequential):
    """A network that is wrong where our kernels run."""

    def forward(self, x: Tensor) -> Tensor:
        """Return twice the maps, or the maps."""
        y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return 2 * y if faltung.is_enabled() else y


class Broken(nn.Sequential):
    """A network that fails where our kernels run."""

    def forward(self, x: Tensor) -> Tensor:
        """Fail, or return the maps.

        Raises:
            ValueError: The switch is on.
        """
        if faltung.is_enabled():
            raise ValueError("no such layer\nand more")
        y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return y


TINY = {"tiny": Network(tiny, (3, 8, 8)), "other": Network(tiny, (3, 6, 10))}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("LeNet-5", 61_706),
        ("ResNet-50", 25_557_032),
        ("VGG-16", 138_357_544),
        ("MobileNet-v2", 3_504_872),
        ("U-Net", 7_763_041),
    ],
)
def test_the_networks_have_as_many_parameters_as_published(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = NETWORKS[name].build()
    assert sum(part.numel() for part in model.parameters()) == parameters
    sizes = {"LeNet-5": (1, 28, 28), "U-Net": (3, 256, 256)}
    assert NETWORKS[name].shape == sizes.get(name, (3, 224, 224))


@pytest.mark.parametrize("name", NARROW)
def test_narrow_networks_are_measured_and_right(name: str) -> None:
    with torch.no_grad():
        made = whole.ready(name, NARROW[name], 2)
        row = whole.measured(made, 2, 1, 1.0)
    assert row.failed == {}
    assert list(row.measured) == [
        "torch nchw",
        "torch channels_last",
        "ours nchw",
        "ours channels_last",
    ]
    assert row.healthy
    assert all(found.error < 1e-5 for found in row.measured.values())
    (exact,) = made.exact
    assert exact.shape == ((1, 1, 16, 24) if name == "unet" else (1, 10))
    assert exact.dtype == torch.float64
    assert exact.std() > 1e-3, "no map fades"


@pytest.mark.parametrize("name", NARROW)
def test_steps_of_training_are_measured_and_right(name: str) -> None:
    with torch.no_grad():
        made = whole.ready(name, NARROW[name], 3, training=True)
        row = whole.measured(made, 3, 1, 1.0)
    assert row.failed == {}
    assert len(row.measured) == 4
    assert all(found.error < 1e-5 for found in row.measured.values())
    for module in made.modules.values():
        assert all(p.training != isinstance(p, nn.Dropout) for p in module.modules())
        kept = [buffer for at, buffer in module.named_buffers() if at.endswith("running_mean")]
        assert not any(mean.any() for mean in kept)
    gradients = made.call("ours nchw", 3)()
    shapes = [parameter.shape for parameter in made.modules["nchw"].parameters()]
    assert [gradient.shape for gradient in gradients] == shapes
    assert [gradient.shape for gradient in made.exact] == shapes
    assert all(gradient.norm() > 0 for gradient in made.exact[-2:])


def test_a_wrong_gradient_is_seen() -> None:
    class Doubled(nn.Sequential):
        """A network whose gradients are wrong where our kernels run, and whose maps are not."""

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return 2 * y - y.detach() if faltung.is_enabled() else y

    network = Network(lambda: Doubled(*tiny().children()), (3, 8, 8))
    for training in (False, True):
        with torch.no_grad():
            made = whole.ready("doubled", network, 2, training=training)
            row = whole.measured(made, 2, 1, 1.0)
        assert row.healthy != training
        assert all(row.measured[name].error < 1e-6 for name in whole.NAMES[:2])


def test_a_step_that_is_not_finite_is_seen() -> None:
    class Endless(nn.Sequential):
        """A network that is wrong where our kernels run on more than one image."""

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return y / 0 if faltung.is_enabled() and len(x) > 1 else y

    network = Network(lambda: Endless(*tiny().children()), (3, 8, 8))
    with torch.no_grad():
        made = whole.ready("endless", network, 2, training=True)
        assert whole.measured(made, 1, 1, 1.0).healthy
        assert not whole.measured(made, 2, 1, 1.0).healthy


def test_weights_follow_the_seed_and_leave_the_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (built(NARROW["unet"], seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not first.training
    weights = [model.get_parameter("last.weight") for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_each_candidate_has_its_format_and_ours_alone_the_switch() -> None:
    seen: dict[str, list[tuple[bool, bool, bool]]] = {}

    class Watching(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            weight, _ = self.parameters()
            first, second = (
                t.is_contiguous(memory_format=torch.channels_last) for t in (x, weight)
            )
            seen.setdefault(where[-1], []).append((faltung.is_enabled(), first, second))
            assert not self.training
            y: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return y

    where = ["float64"]

    def timer(
        calls: Mapping[str, Any],
        rounds: int,
        seconds: float,
        *,
        within: Any,
        warm: bool,
        short: float,
    ) -> dict[str, Spread]:
        assert warm
        assert short == whole.IN_TURN
        assert (rounds, seconds) == (7, 2.0)
        for name, call in calls.items():
            where.append(name)
            if name in within:
                with within[name]():
                    call()
            else:
                call()
        return {name: Spread(1.0, 1.0, 1.0, 1) for name in calls}

    network = Network(lambda: Watching(nn.Conv2d(3, 4, 3)), (3, 8, 8))
    with torch.no_grad():
        made = whole.ready("watching", network, 1)
        whole.measured(made, 1, 7, 2.0, timer)
    del seen["float64"]
    assert seen == {
        "torch nchw": [(False, False, False)],
        "torch channels_last": [(False, True, True)],
        "ours nchw": [(True, False, False)],
        "ours channels_last": [(True, True, True)],
    }
    assert not faltung.is_enabled()


def test_a_tiny_run_says_and_writes_everything(tmp_path: Path) -> None:
    out, table = io.StringIO(), tmp_path / "all.csv"
    before = torch.get_num_threads()
    code = whole_run.main(
        networks=TINY, batches=[1, 3], threads=1, rounds=1, csv=table, peak=lambda: 9.0, out=out
    )
    assert code == 0
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()
    said = out.getvalue().splitlines()
    assert "threads: 1" in said
    assert "rounds: 1, interleaved in shuffled order, at most 5 s a line; median" in said
    (head,) = (at for at, line in enumerate(said) if line.startswith("network  "))
    assert said[head].split("  ")[-1] == "ours/torch"
    for name in ("torch nchw ms", "torch cl ms", "ours nchw ms", "ours cl ms", "torch error"):
        assert name in said[head]
    lines = [line.split() for line in said[head + 1 :]]
    expected = [["tiny", "1"], ["tiny", "3"], ["other", "1"], ["other", "3"]]
    assert [line[:2] for line in lines] == expected
    text = table.read_text()
    notes = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    assert notes == said[:head]
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("# ")))
    assert [[row["network"], row["batch"]] for row in rows] == expected
    for row, line in zip(rows, lines, strict=True):
        times = {name: float(row[f"{name} ms"]) for name in whole.NAMES}
        assert min(times.values()) > 0
        assert all(0 < float(row[f"{name} error"]) < 1e-6 for name in whole.NAMES)
        assert all(row[f"{name} samples"] == "1" for name in whole.NAMES)
        theirs, mine = (
            min(times[f"{family} {layout}"] for layout in ("nchw", "channels_last"))
            for family in ("torch", "ours")
        )
        assert float(row["ours/torch"]) == pytest.approx(theirs / mine, rel=2e-3)
        assert float(line[-1]) == pytest.approx(theirs / mine, rel=1e-2, abs=1e-2)
        assert row["remarks"] == ""


def test_what_is_wrong_or_fails_is_said_and_is_the_exit_code(tmp_path: Path) -> None:
    networks = {
        "spoiled": Network(lambda: Spoiled(*tiny().children()), (3, 8, 8)),
        "broken": Network(lambda: Broken(*tiny().children()), (3, 8, 8)),
    }
    out, table = io.StringIO(), tmp_path / "all.csv"
    options: dict[str, Any] = {"batches": [2], "rounds": 1, "peak": lambda: 9.0, "out": out}
    assert whole_run.main(networks=networks, csv=table, **options) == 1
    said = out.getvalue()
    assert "  spoiled, batch 2: ours nchw is WRONG, its relative error is 1.0e+00\n" in said
    assert "  broken, batch 2: ours channels_last failed: ValueError: no such layer\n" in said
    rows = csv.DictReader(line for line in table.read_text().splitlines() if line[0] != "#")
    assert [(row["ours/torch"], row["ours nchw samples"]) for row in rows] == [("", "1"), ("", "")]


def test_what_was_measured_is_kept_when_somebody_interrupts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, file = whole.measured, tmp_path / "part.csv"

    def once(network: whole.Ready, *arguments: Any) -> whole.Whole:
        if network.name == "other":
            raise KeyboardInterrupt
        return measured(network, *arguments)

    monkeypatch.setattr(whole_run, "measured", once)
    options: dict[str, Any] = {"batches": [1], "rounds": 1, "peak": lambda: 9.0}
    with pytest.raises(KeyboardInterrupt):
        whole_run.main(networks=TINY, csv=file, out=io.StringIO(), **options)
    assert file.read_text().splitlines()[-1].startswith("tiny,1,")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "--threads is 0: it must be at least 1"),
        ({"rounds": 0}, "--rounds is 0: it must be at least 1"),
        ({"seconds": 0.0}, "--seconds is 0.0: it must be more than 0"),
        (
            {"csv": Path("/nowhere/at/all.csv")},
            "--csv is /nowhere/at/all.csv: its folder does not exist; create it first",
        ),
        (
            {"match": "alex"},
            "no network matches 'alex': use a wider filter; there are LeNet-5, ResNet-50, VGG-16, "
            "MobileNet-v2, U-Net",
        ),
    ],
)
def test_arguments_outside_their_rules(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        whole_run.main(**arguments)
    assert str(caught.value) == message


def test_a_pattern_that_is_none_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"'\(' is no regular expression: "):
        whole_run.main(match="(")
