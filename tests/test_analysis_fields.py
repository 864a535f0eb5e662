"""Receptive fields: proved by gradients, held against published ones, and where they end."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import faltung
import networks
import zoo
from faltung import analysis
from faltung.analysis.endless import Endless
from faltung.analysis.measure import Checked
from faltung.analysis.reads import slid
from faltung.errors import ArgumentError
from faltung.geometry import ReceptiveField, Window, receptive_field

NETWORKS: dict[str, tuple[nn.Module, tuple[int, int, int]]] = {
    "LeNet": (networks.LeNet(), (1, 32, 32)),
    "AlexNet": (networks.AlexNet(2), (3, 227, 227)),
    "VGG-16": (networks.VGG16(1, 10, 8), (3, 256, 32)),
    "ResNet-50": (networks.ResNet50(2, 10), (3, 544, 32)),
    "Inception v3": (networks.InceptionV3(1), (3, 75, 75)),
    "U-Net": (networks.UNet(), (1, 224, 32)),
    "U-Net, bilinear": (networks.UNet(bilinear=True, depth=3), (1, 120, 40)),
    "DeepLab": (networks.DeepLab(), (3, 448, 64)),
    "DenseNet": (networks.DenseNet(), (3, 64, 56)),
}


def agree(checked: list[Checked], least: int) -> None:
    assert [c for c in checked if not c.right] == []
    assert sum(c.measured is not None for c in checked) == len(checked) >= least


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_a_network_agrees_with_gradients(name: str) -> None:
    model, sizes = NETWORKS[name]
    least = {"LeNet": 12, "AlexNet": 13, "VGG-16": 40, "ResNet-50": 175, "Inception v3": 310}
    agree(list(analysis.verify(model.eval(), sizes)), least.get(name, 25))


def test_the_largest_field_of_inception_agrees_with_gradients() -> None:
    model = networks.InceptionV3(1).eval()
    for sizes in ((3, 1400, 75), (3, 75, 1400)):
        rows, columns = analysis.measured_field(model, sizes, "11.cat")
        assert max(len(rows), len(columns)) == 1311


@pytest.mark.parametrize("name", zoo.CASES)
def test_every_way_of_moving_and_joining_agrees_with_gradients(name: str) -> None:
    agree(list(analysis.verify(*zoo.CASES[name])), 2)


@pytest.mark.parametrize(
    ("model", "path", "size", "jump", "padding"),
    [
        (networks.AlexNet(2), "features.12", 195, 32, 64),
        (networks.VGG16(1, 10, 8), "features.30", 212, 32, 90),
        (networks.ResNet50(2, slim=True), "layer4.2.relu#3", 483, 32, 239),
        (networks.InceptionV3(1), "11.cat", 1311, 32, 618),
    ],
    ids=["AlexNet", "VGG-16", "ResNet-50", "Inception v3"],
)
def test_published_fields(model: nn.Module, path: str, size: int, jump: int, padding: int) -> None:
    """Sizes, jumps ("effective strides") and paddings of Araujo et al. (2019), table 1."""
    found = {field.path: field for field in faltung.receptive_field(model.eval(), (3, 227, 227))}
    assert found[path].rows == found[path].columns == ReceptiveField(size, jump, -padding)


def test_strides_in_the_first_blocks_see_less() -> None:
    """Torchvision's ResNet-50 sees 427 pixels: its strides come earlier than those of Slim."""
    model = networks.ResNet50(2).eval()
    assert faltung.receptive_field(model, (3, 64, 64))[-4].rows == ReceptiveField(427, 32, -213)


windows = st.builds(
    Window,
    size=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    before=st.integers(0, 4),
    after=st.integers(0, 4),
)


@given(st.lists(windows, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_endless_fields_of_windows_are_those_of_geometry(chain: list[Window]) -> None:
    by_window: Endless | None = Endless()
    by_taps: Endless | None = Endless((ReceptiveField(1, 2, 0), ReceptiveField(1, 2, 1)))
    for window in chain:
        reads = slid(window, 40).endless
        assert by_window is not None
        assert by_taps is not None
        assert reads is not None
        by_window, by_taps = by_window.through(reads), by_taps.through(reads)
    assert by_window is not None
    assert by_window.phases == (receptive_field(chain),)
    assert by_taps == by_window


def test_fields_far_from_borders_are_those_of_cells() -> None:
    """Size, jump and start say the same as the exact cells, wherever no border is near."""
    for field in faltung.receptive_field(networks.UNet(1, 2).eval(), (1, 160, 160)):
        assert field.rows is not None
        middle = len(field.row_cells) // 2
        cells = field.row_cells[middle - 4 : middle + 4]
        assert max(map(len, cells)) == field.rows.size
        assert cells[4].start - cells[0].start == 4 * field.rows.jump


def test_fields_are_clipped_to_the_image() -> None:
    model = nn.Conv2d(1, 1, 3, padding=2, dilation=2)
    (field,) = faltung.receptive_field(model, (1, 6, 7))
    assert (field.map, field.image) == ((6, 7), (6, 7))
    assert field.rows == ReceptiveField(5, 1, -2)
    assert field.clipped(0, 0) == (range(3), range(3))
    assert field.clipped(1, 3) == (range(1, 4), range(1, 6))  # its tap at -1 reads padding
    assert field.clipped(5, 6) == (range(3, 6), range(4, 7))
    with pytest.raises(IndexError):
        field.clipped(6, 0)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("misaligned branches", "branches whose fields move by 2 and 1 pixels are joined"),
        ("gated by a global pool", "joined with a part that every cell shares, such as a global"),
        ("pixels shuffled", "neighbouring fields are 1/2 of a pixel apart"),
        ("adaptive", "22 cells are pooled to 5, in windows of unequal size"),
        ("nearest to an odd size", "11 cells become 17, no whole multiple"),
        ("rolled and turned", "the cells are rolled around"),
        ("transposed, padded, dilated", "some cells see nothing"),
        ("softmax over columns", "softmax runs over all cells"),
        ("split and put together", "maps are put one after the other"),
    ],
)
def test_fields_that_are_not_defined_say_why(name: str, words: str) -> None:
    last = faltung.summary(*zoo.CASES[name]).rows[-1]
    assert None in {last.rows, last.columns}
    assert last.why.startswith(words)
    assert min(last.sees) > 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.ELU(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Hardswish(), nn.LeakyReLU(), nn.LogSigmoid(),
        nn.PReLU(), nn.ReLU6(inplace=True), nn.RReLU(), nn.SELU(), nn.CELU(), nn.GELU(),
        nn.Sigmoid(), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Softsign(), nn.Tanhshrink(),
        nn.Threshold(0.1, 0), nn.Softmin(1), nn.Dropout2d(), nn.AlphaDropout(),
        nn.ChannelShuffle(2), nn.InstanceNorm2d(4, affine=True), nn.RMSNorm(8), nn.GroupNorm(2, 4),
        zoo.Does(lambda m, x: torch.where(x > 0, x, 0).clamp(0, 6) + x.new_zeros(1)),
    ],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_ordinary_layers_are_known_and_see_what_they_are_given(layer: nn.Module) -> None:
    report = faltung.summary(layer, (4, 8, 8))
    assert not any(note.startswith(("taken", "not counted")) for note in report.notes)
    assert {row.rows for row in report.rows} <= {ReceptiveField(), None}
    assert report.rows[-1].columns == ReceptiveField()


def test_what_is_not_known_sees_everything() -> None:
    model = zoo.Does(lambda m, x: torch.fft.fft2(m.a(x)).real, a=zoo.conv(3, 1))
    shown = faltung.summary(model, (1, 9, 8))
    assert shown.notes[0].startswith("taken to see all that their operands see: fft_fft2")
    assert shown.rows[-1].sees == (9, 8)
    assert shown.rows[-1].why == "fft_fft2 is taken to read everything"


def test_a_spoiled_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracles must be able to fail: one tap less, and the comparison says where."""
    model, sizes = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 2)), (1, 14, 15)
    right = Window.taps
    monkeypatch.setattr(Window, "taps", lambda s, i, n: right(s, i, n)[:-1])
    wrong = [checked for checked in analysis.verify(model, sizes) if not checked.right]
    assert [checked.path for checked in wrong] == ["0", "1"]
    assert wrong[0].cells[0] == (0, 0)
    assert wrong[0].computed[0] == (range(2), range(2))
    assert wrong[0].measured is not None
    assert wrong[0].measured[0] == (range(3), range(3))


def test_measured_field() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2))
    assert analysis.measured_field(model, (1, 20, 18), "2") == (range(8, 14), range(6, 12))
    assert analysis.measured_field(model, (1, 20, 18), "2", (0, 8)) == (range(4), range(14, 18))


@pytest.mark.parametrize("measure", [analysis.measured_field, analysis.effective_field])
def test_layers_and_cells_that_do_not_exist(measure: object) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    with pytest.raises(ArgumentError, match="layer_path is 'conv': the layers are 0, 1"):
        measure(model, (1, 8, 8), "conv")  # type: ignore[operator]
    with pytest.raises(ArgumentError, match=r"cell is \(6, 0\): the map has 6 rows and 6 columns"):
        measure(model, (1, 8, 8), "1", (6, 0))  # type: ignore[operator]
    chosen = zoo.Does(lambda m, x: m.a(x).argmax(1), a=zoo.conv(3, 1))
    with pytest.raises(ArgumentError, match="layer_path is 'argmax', whose result has no gradient"):
        measure(chosen, (1, 8, 8), "argmax")  # type: ignore[operator]


def test_effective_field_of_one_convolution_is_its_kernel_squared() -> None:
    model = nn.Conv2d(2, 1, 3, padding=1).double()
    image = torch.zeros(1, 2, 7, 6, dtype=torch.float64)
    energy = torch.from_numpy(analysis.effective_field(model, image, "conv2d", samples=4000))
    kernel = model.weight.detach().square().sum((0, 1))
    torch.testing.assert_close(energy[2:5, 2:5], kernel, rtol=0.1, atol=0)
    assert energy.count_nonzero() == 9


def test_effective_field_lies_in_the_theoretical_one_and_weighs_its_middle() -> None:
    """Luo et al. (2016): the energy falls off from the middle like a bell."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1 if n == 0 else 8, 8, 3, padding=1) for n in range(6)]
    model = nn.Sequential(*layers)
    energy = analysis.effective_field(model, (1, 31, 31), "5")
    rows, columns = analysis.measured_field(model, (1, 31, 31), "5")
    assert (rows, columns) == (range(9, 22), range(9, 22))
    assert energy[9:22, 9:22].sum() == energy.sum() > 0
    assert energy[13:18, 13:18].sum() > energy.sum() / 2
    with pytest.raises(ArgumentError, match="samples is 0: it must be at least 1"):
        analysis.effective_field(model, (1, 31, 31), "5", samples=0)
