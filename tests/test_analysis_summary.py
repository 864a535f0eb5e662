"""The summary: numbers held against other counters, forms of output, a model left as it was."""

import csv
import io
import json
import math
import sys
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import faltung
import networks
import zoo
from faltung import nn as ours
from faltung.analysis import rows
from faltung.analysis.capture import capture
from faltung.analysis.describe import fields
from faltung.analysis.inputs import tensors
from faltung.analysis.layers import analyse
from faltung.errors import MissingExtraError
from faltung.geometry import ReceptiveField


@pytest.fixture(scope="module")
def resnet() -> faltung.analysis.Summary:
    return faltung.summary(networks.ResNet50().eval(), (3, 224, 224))


def total(report: faltung.analysis.Summary, name: str, attribute: str) -> int:
    return sum(getattr(row, attribute) for row in report.rows if row.name == name)


def test_resnet_50_against_other_counters(resnet: faltung.analysis.Summary) -> None:
    """Constants: torchinfo 1.8.0 and fvcore 0.1.5.post20221221, run on this very network.

    fvcore calls a MAC a flop: {"conv": 4087136256, "linear": 2048000, "batch_norm": 22227968,
    "adaptive_avg_pool2d": 100352}. torchinfo's 4,089,238,376 mult-adds are the same products of
    convolutions and linear layer, the 1,000 biases of the latter, and each of the 53,120 parameters
    of batch normalisation once.
    """
    assert resnet.totals.parameters == resnet.totals.trainable == 25_557_032
    assert total(resnet, "Conv2d", "macs") == 4_087_136_256
    assert total(resnet, "Linear", "macs") == 2_048_000
    assert resnet.totals.macs == 4_087_136_256 + 2_048_000 == 4_089_238_376 - 1_000 - 53_120
    assert total(resnet, "BatchNorm2d", "flops") == 22_227_968
    assert total(resnet, "AdaptiveAvgPool2d", "flops") == 100_352
    assert resnet.totals.flops == sum(row.flops for row in resnet.rows) > 2 * resnet.totals.macs
    assert resnet.notes == ()


def test_the_stem_of_resnet_50_row_by_row(resnet: faltung.analysis.Summary) -> None:
    conv, norm, relu, pool = resnet.rows[:4]
    assert conv == rows.Row(
        path="conv1",
        name="Conv2d",
        input=(1, 3, 224, 224),
        output=(1, 64, 112, 112),
        kernel=(7, 7),
        stride=(2, 2),
        padding=((3, 3), (3, 3)),
        dilation=(1, 1),
        groups=1,
        rows=ReceptiveField(7, 2, -3),
        columns=ReceptiveField(7, 2, -3),
        sees=(7, 7),
        why="",
        parameters=64 * 3 * 49,
        fully_connected=3 * 224**2 * 64 * 112**2,
        locally_connected=112**2 * 64 * 3 * 49,
        macs=64 * 112**2 * 3 * 49,
        flops=2 * 64 * 112**2 * 3 * 49,
        bytes=4 * (3 * 224**2 + 64 * 3 * 49 + 64 * 112**2),
    )
    assert conv.intensity == conv.flops / conv.bytes
    assert (norm.path, norm.name, norm.parameters) == ("bn1", "BatchNorm2d", 128)
    assert (norm.macs, norm.flops) == (0, 2 * 64 * 112**2)
    assert (relu.path, relu.flops, relu.kernel) == ("relu", 64 * 112**2, None)
    assert (pool.path, pool.name, pool.kernel) == ("maxpool", "MaxPool2d", (3, 3))
    assert (pool.flops, pool.rows) == (9 * 64 * 56**2, ReceptiveField(11, 4, -5))
    assert [row.path for row in resnet.rows[4:14]] == [
        f"layer1.0.{name}"
        for name in (
            "conv1", "bn1", "relu", "conv2", "bn2", "relu#2", "conv3", "bn3", "downsample.0",
            "downsample.1",
        )
    ]  # fmt: skip
    joined = resnet.rows[14]
    assert (joined.path, joined.name) == ("layer1.0.add", "add")
    assert len({row.path for row in resnet.rows}) == len(resnet.rows)


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        (networks.VGG16(2, 10, 8), (3, 64, 64)),
        (networks.InceptionV3(2).eval(), (3, 75, 75)),
        (networks.UNet(4).eval(), (1, 48, 64)),
        (networks.DeepLab(3).eval(), (3, 64, 96)),
        (zoo.CASES["attention"][0], (1, 17, 15)),
        (nn.Conv2d(4, 6, 3, groups=2, dilation=2), (4, 12, 12)),
        (nn.ConvTranspose2d(4, 6, 3, 2, padding=1, groups=2), (4, 12, 12)),
    ],
    ids=["VGG", "Inception", "U-Net", "DeepLab", "attention", "groups", "transposed"],
)
def test_macs_are_half_of_what_torch_counts(model: nn.Module, sizes: tuple[int, ...]) -> None:
    """Torch counts two operations for each product of convolutions and matrices, no others."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *sizes))
    assert faltung.cost(model, sizes).totals.macs * 2 == counter.get_total_flops()


@pytest.mark.parametrize(
    ("layer", "local", "full"),
    [
        (nn.Conv2d(2, 4, 3, stride=2, padding=1), "weights", "weights"),
        (nn.Conv2d(2, 4, (3, 1), bias=False), "weights", "weights"),
        (ours.LocallyConnected2d(2, 4, (6, 8), 3), "weights", "weights"),
    ],
)
def test_denser_layers_really_have_that_many_parameters(layer: Any, local: str, full: str) -> None:
    (row,) = faltung.summary(layer, (2, 6, 8)).rows
    bias = layer.bias is not None
    same = ours.LocallyConnected2d(
        2, 4, (6, 8), layer.kernel_size, layer.stride, layer.padding, bias=bias
    )
    linear = nn.Linear(2 * 6 * 8, math.prod(row.output), bias=bias)
    assert row.locally_connected == sum(p.numel() for p in same.parameters())
    assert row.fully_connected == sum(p.numel() for p in linear.parameters())
    assert row.parameters == sum(p.numel() for p in layer.parameters())


def test_the_seeds_count_of_a_fully_connected_layer() -> None:
    """A megapixel and a thousand units: 10^9 weights."""
    (row,) = faltung.summary(nn.Linear(10**6, 10**3, bias=False, device="meta"), ((1, 10**6),)).rows
    assert row.fully_connected == row.parameters == row.macs == 10**9


@pytest.mark.parametrize(
    ("model", "sizes", "flops"),
    [
        (nn.Conv2d(1, 2, 3), (1, 4, 4), 2 * 8 * 9 + 8),
        (nn.AvgPool2d(2), (1, 4, 4), 4 * 4),
        (nn.AdaptiveAvgPool2d(3), (2, 4, 4), 2 * 6 * 6),
        (nn.BatchNorm2d(2).eval(), (2, 4, 4), 2 * 32),
        (nn.BatchNorm2d(2), (2, 4, 4), 5 * 32),
        (nn.GroupNorm(1, 2), (2, 4, 4), 5 * 32),
        (nn.Softmax(1), (2, 4, 4), 5 * 32),
        (nn.PReLU(), (2, 4, 4), 32),
        (nn.Upsample(scale_factor=2), (2, 4, 4), 0),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (2, 4, 4), 2 * 4 * 128),
        (nn.ZeroPad2d(1), (2, 4, 4), 0),
        (nn.Flatten(), (2, 4, 4), 0),
        (zoo.Does(lambda m, x: x.mean((2, 3))), (2, 4, 4), 32),
    ],
)
def test_flops_are_counted_as_documented(
    model: nn.Module, sizes: tuple[int, ...], flops: int
) -> None:
    report = faltung.cost(model, sizes)
    assert report.totals.flops == flops
    assert not any(note.startswith("not counted") for note in report.notes)


def test_views_move_no_bytes_and_all_else_each_tensor_once() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(inplace=True))
    flat, linear, relu = faltung.summary(model, (8, 1, 3, 4)).rows
    assert (flat.bytes, flat.intensity) == (0, 0)
    assert linear.bytes == 4 * (8 * 12 + 12 * 5 + 5 + 8 * 5)
    assert relu.bytes == 4 * 2 * 8 * 5


def test_shared_layers_count_once_and_unused_ones_are_told() -> None:
    model = zoo.Does(lambda m, x: m.a(m.a(x)), a=zoo.conv(3), b=zoo.conv(1))
    model.get_submodule("b").requires_grad_(False)
    report = faltung.summary(model, (4, 9, 9))
    assert [(row.path, row.parameters) for row in report.rows] == [("a", 148), ("a#2", 0)]
    assert (report.totals.parameters, report.totals.trainable) == (168, 148)
    assert report.notes == ("20 parameters are used by no layer for this input",)
    assert "168 parameters (20 of them frozen)" in str(report)


def test_inputs_in_every_form() -> None:
    model = nn.Conv2d(1, 2, 3)
    forms: list[tuple[Any, int]] = [
        ((1, 8, 8), 1), ([5, 1, 8, 8], 5), (torch.zeros(3, 1, 8, 8), 3), ([(1, 8, 8)], 1),
        (torch.Size((1, 8, 8)), 1), ((torch.zeros(2, 1, 8, 8),), 2),
    ]  # fmt: skip
    for given, batch in forms:
        assert faltung.summary(model, given).rows[0].output == (batch, 2, 6, 6)
    unbatched = faltung.summary(model, torch.zeros(1, 8, 9))
    assert (unbatched.rows[0].output, unbatched.rows[0].columns) == ((2, 6, 7), ReceptiveField(3))
    half = faltung.summary(model.bfloat16(), (1, 8, 8))
    assert half.rows[0].bytes == 2 * (64 + 20 + 72)


def test_several_inputs() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor, scale: Tensor) -> Tensor:
            return (x + nn.functional.avg_pool2d(y, 3, 1, 1)) * scale

    report = faltung.summary(Two(), ((1, 8, 8), (1, 8, 8), torch.ones(1)))
    assert report.inputs == ((1, 1, 8, 8), (1, 1, 8, 8), (1,))
    assert [row.rows for row in report.rows] == [ReceptiveField(3, 1, -1)] * 3


def test_inputs_without_rows_have_no_fields() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    report = faltung.summary(model, ((2, 3),))
    assert [(row.rows, row.sees) for row in report.rows] == [(None, (0, 0))] * 2
    assert faltung.receptive_field(model, ((2, 3),)) == ()
    assert list(faltung.analysis.verify(model, ((2, 3),))) == []


def everything_of(model: nn.Module) -> list[Any]:
    state = [(name, t.clone(), t._version, t.data_ptr()) for name, t in model.state_dict().items()]
    layers = [
        (layer.training, dict(layer._forward_hooks), dict(layer._forward_pre_hooks))
        for layer in model.modules()
    ]
    gradients = [p.grad if p.grad is None else p.grad.clone() for p in model.parameters()]
    return [state, layers, gradients, torch.get_rng_state(), torch.is_grad_enabled()]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("exportable", [True, False])
def test_the_model_is_left_as_it_was(training: bool, exportable: bool) -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        if not exportable and x.sum() > 1e9:
            return x
        return m.d(m.b(m.a(x)))  # type: ignore[no-any-return]

    model = zoo.Does(forward, a=zoo.conv(3, 1), b=nn.BatchNorm2d(4), d=nn.Dropout(0.5))
    conv = model.get_submodule("a")
    conv.get_parameter("weight").grad = torch.ones(4, 1, 3, 3)
    conv.register_forward_hook(lambda *_: None)
    model.train(training)
    image = torch.rand(2, 1, 8, 8)
    before, pixels = everything_of(model), image.clone()
    for measured in (False, True):
        faltung.summary(model, image, measured=measured)
    faltung.receptive_field(model, (1, 8, 8))
    list(faltung.analysis.verify(model, (1, 8, 8)))
    faltung.analysis.effective_field(model, image, "b", samples=2)
    after = everything_of(model)
    for (name, old, _, place), (_, new, _, there) in zip(before[0], after[0], strict=True):
        assert torch.equal(old, new), name
        assert place == there
    assert before[1] == after[1]
    torch.testing.assert_close(before[2], after[2])
    assert torch.equal(before[3], after[3])
    assert before[4] is after[4] is True
    assert torch.equal(image, pixels)
    assert image.grad is None


def test_models_that_cannot_be_exported_are_recorded() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.a(x)
        if y.sum() > -1e9:  # export cannot know
            y = torch.cat([y, m.p(y)], 1)
        return m.c(y.relu_()).flatten(1)  # type: ignore[no-any-return]

    layers = {"a": zoo.conv(3, 1), "p": ours.MaxPool2d(3, 1, 1), "c": zoo.conv(3, 8)}
    model = zoo.Does(forward, **layers)
    report = faltung.summary(model, (1, 12, 12))
    assert report.notes[0].startswith(
        "recorded while the model ran once, with hooks on its layers, because torch.export could "
        "not capture it ("
    )
    assert "\n" not in report.notes[0]
    found = {row.path: (row.rows, row.macs, row.parameters) for row in report.rows}
    assert found["a"] == (ReceptiveField(3), 3600, 40)
    assert found["p"] == (ReceptiveField(5, 1, -1), 0, 0)
    assert found["cat"][0] == ReceptiveField(5, 1, -1)
    assert found["c"] == (ReceptiveField(7, 1, -1), 4 * 64 * 72, 292)


@pytest.mark.parametrize("name", ["ResNet", "U-Net", "DeepLab", "ours"])
def test_recorded_and_exported_models_agree(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "ResNet": (networks.ResNet50(2, 10), (3, 64, 64)),
        "U-Net": (networks.UNet(2, 2, bilinear=True), (1, 40, 36)),
        "DeepLab": (networks.DeepLab(2), (3, 64, 96)),
        "ours": zoo.CASES["transposed, padded, dilated"],
    }
    model, sizes = made[name]
    model.eval()

    def told(found: Any) -> tuple[Any, ...]:
        windowed = [f for f in fields(found) if "onv" in f.name or "ool" in f.name]
        return tuple((f.rows, f.columns, f.row_cells, f.column_cells) for f in windowed)

    exported = analyse(model, sizes)
    macs = faltung.cost(model, sizes).totals.macs
    monkeypatch.setattr(torch.export, "export", lambda *_, **__: 1 / 0)
    recorded = analyse(model, sizes)
    assert recorded.captured.how.startswith("recorded")
    assert told(recorded) == told(exported) != ()
    assert faltung.cost(model, sizes).totals.macs == macs
    assert capture(model, tensors(model, sizes)).parameters.keys() != set()


def test_measured_times() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(72, 2))
    model[0].requires_grad_(False)
    report = faltung.summary(model, (1, 5, 5), measured=True)
    forward = [row.forward_ms for row in report.rows]
    assert all(ms is not None and 0 < ms < 1e4 for ms in forward)
    backward = [row.backward_ms for row in report.rows]
    assert backward[:3] == [None, None, None]  # nothing there is learned
    assert backward[3] is not None
    assert report.totals.forward_ms == pytest.approx(sum(ms for ms in forward if ms))
    assert report.totals.backward_ms == backward[3]
    assert " ms forward, " in report.foot[0]
    large = nn.Sequential(nn.Conv2d(8, 64, 5), nn.Conv2d(64, 1, 1))
    slow, quick = faltung.cost(large, (8, 96, 96), measured=True).rows
    assert slow.forward_ms is not None
    assert quick.forward_ms is not None
    assert slow.forward_ms > quick.forward_ms  # 100 times as many products


def test_forms_of_output() -> None:
    report = faltung.summary(networks.LeNet(), (1, 32, 32))
    lines = str(report).splitlines()
    assert lines[0].split()[:5] == ["layer", "kind", "output", "kernel", "stride"]
    assert len({len(line.rstrip()) for line in lines[1:2]}) == 1
    assert lines[2].split()[:8] == ["0", "Conv2d", "1x6x28x28", "5", "1", "0", "1", "1"]
    assert lines[-1].startswith("LeNet for 1x1x32x32: 61,706 parameters, 416.5 k MACs, ")
    whole = json.loads(report.json())
    assert whole["totals"]["parameters"] == 61_706
    assert whole["rows"][0]["rows"] == {"size": 5, "jump": 1, "start": 0}
    assert len(whole["rows"]) == 12
    table = list(csv.DictReader(io.StringIO(report.csv())))
    assert len(table) == 12
    assert (table[0]["output"], table[0]["rows.size"], table[0]["macs"]) == (
        "1x6x28x28", "5", "117600",
    )  # fmt: skip
    assert table[1]["kernel"] == ""
    marked = report.markdown().splitlines()
    assert marked[0].startswith("| layer | kind | output |")
    assert marked[1].startswith("| --- | --- | ---: |")
    assert len({line.count("|") for line in marked[:14]}) == 1
    cost = faltung.cost(networks.LeNet(), (1, 32, 32))
    assert str(cost).splitlines()[0].split() == [
        "layer", "kind", "parameters", "MACs", "FLOPs", "bytes", "FLOPs/byte",
    ]  # fmt: skip


def test_tables_for_terminals_leave_columns_out_and_say_so() -> None:
    report = faltung.summary(networks.LeNet(), (1, 32, 32))
    for width, left_out in ((250, 0), (110, 4), (80, 8)):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(report.table(width))
        text = console.export_text()
        assert max(map(len, text.splitlines())) <= width
        assert "LeNet for 1x1x32x32" in text
        names = text.replace("\n", " ").partition("--json:")[2]
        assert (names.count(",") + 1 if names else 0) >= left_out


def test_odd_paddings_and_windows_are_shown() -> None:
    layer = ours.Conv2d(1, 1, (2, 4), stride=(1, 2), padding=((1, 0), (2, 1)))
    line = str(faltung.summary(layer, (1, 9, 8))).splitlines()[2].split()
    assert line[:6] == ["conv2d", "conv2d", "1x1x9x4", "2x4", "1x2", "1,0,2,1"]


def test_what_the_statistics_of_normalisations_do_is_told() -> None:
    batch = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert faltung.summary(batch, (2, 1, 8, 8)).notes[0].startswith("batch normalisation is in tra")
    assert faltung.summary(batch.eval(), (1, 8, 8)).notes == ()
    group = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2)).eval()
    assert "statistics of group_norm every cell" in faltung.summary(group, (1, 8, 8)).notes[0]
    assert faltung.summary(*zoo.CASES["channels last"]).notes == ()  # over channels alone


def test_a_table_without_rich_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.table", None)
    report = faltung.summary(nn.Conv2d(1, 2, 3), (1, 8, 8))
    with pytest.raises(MissingExtraError, match=r'pip install "faltung\[reader\]"; str\(\) gives'):
        report.table()
    assert str(report).startswith("layer ")


class Clamped(nn.Conv2d):
    """A layer that changes its own weight, in both ways that there are."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve, unless the input is enormous: no graph of that can be exported."""
        if float(input.sum()) > 1e30:
            return input
        self.weight.data = torch.renorm(self.weight.data, 2, 0, 0.1)
        with torch.no_grad():
            self.weight.clamp_(-0.01, 0.01)
        return super().forward(input)


def test_a_model_that_changes_its_weights_is_left_as_it_was() -> None:
    model = Clamped(1, 2, 3)
    before, memory = model.weight.detach().clone(), model.weight.data_ptr()
    faltung.summary(model, (1, 8, 8))
    assert torch.equal(model.weight, before)
    assert model.weight.data_ptr() == memory
