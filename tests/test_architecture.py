"""The house: imports go downward, public names are what they are, files stay small."""

import ast
import re
from pathlib import Path

import pytest

import faltung
import faltung.functional
import faltung.geometry
import faltung.nn

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "faltung"
MODULES = sorted(SOURCE.rglob("*.py"))

LAYERS = [
    ["errors"],
    ["accuracy", "geometry", "matrices", "settings"],
    [
        "compiler",
        "compiler.algorithms",
        "compiler.algorithms.depthwise_axes",
        "compiler.algorithms.runs",
        "compiler.algorithms.toom_cook",
        "compiler.emit.values",
        "compiler.ownership",
        "compiler.problem",
        "compiler.target",
    ],
    [
        "compiler.algorithms.correlation",
        "compiler.emit.flow",
        "compiler.machine",
        "compiler.store",
    ],
    [
        "compiler.algorithms.interleaved",
        "compiler.algorithms.parts",
        "compiler.algorithms.undilated",
        "compiler.algorithms.winograd_groups",
        "compiler.emit.code",
    ],
    [
        "compiler.emit.exponential",
        "compiler.emit.interpreted",
        "compiler.emit.positions",
        "compiler.emit.program",
        "compiler.emit.shorts",
        "compiler.emit.words",
    ],
    [
        "compiler.emit",
        "compiler.emit.tiles",
    ],
    [
        "compiler.algorithms.depthwise_sums",
        "compiler.algorithms.narrow_form",
        "compiler.algorithms.output",
        "compiler.algorithms.panel",
        "compiler.algorithms.pooling_shape",
        "compiler.algorithms.scan",
        "compiler.algorithms.tile",
        "compiler.algorithms.weight_sums",
        "compiler.algorithms.weights",
        "compiler.plan",
    ],
    [
        "compiler.algorithms.amx_form",
        "compiler.algorithms.amx_weight_panel",
        "compiler.algorithms.argument_block",
        "compiler.algorithms.dense_sum",
        "compiler.algorithms.dense_weight_sum",
        "compiler.algorithms.depthwise_rows",
        "compiler.algorithms.fill",
        "compiler.algorithms.strips",
        "compiler.kernel",
    ],
    [
        "compiler.algorithms.amx_pixels",
        "compiler.algorithms.amx_products",
        "compiler.algorithms.amx_weight_pairs",
        "compiler.algorithms.dense",
        "compiler.algorithms.dense_weight",
        "compiler.algorithms.depthwise_channels",
        "compiler.algorithms.depthwise_form",
        "compiler.algorithms.effort",
        "compiler.algorithms.narrow_blocks",
        "compiler.algorithms.narrow_panel",
        "compiler.algorithms.narrow_weights",
        "compiler.algorithms.planar",
        "compiler.algorithms.planar_weights",
        "compiler.algorithms.planes",
        "compiler.algorithms.winograd_input",
        "compiler.call",
        "compiler.digest",
        "compiler.memory",
        "compiler.peak",
    ],
    [
        "compiler.algorithms.amx_weights",
        "compiler.algorithms.dense_blocks",
        "compiler.algorithms.depthwise_choice",
        "compiler.algorithms.depthwise_tiles",
        "compiler.algorithms.depthwise_weight_direct",
        "compiler.algorithms.depthwise_weight_tiles",
        "compiler.algorithms.finite",
        "compiler.algorithms.narrow",
        "compiler.algorithms.packing",
        "compiler.algorithms.phases",
        "compiler.algorithms.pooling_channels",
        "compiler.algorithms.pooling_scatter",
        "compiler.algorithms.winograd_kernels",
        "compiler.algorithms.winograd_weight",
    ],
    [
        "compiler.algorithms.amx_channels",
        "compiler.algorithms.dense_plan",
        "compiler.algorithms.dense_weight_form",
        "compiler.algorithms.depthwise_kernel",
        "compiler.algorithms.depthwise_weight",
        "compiler.algorithms.narrow_plan",
        "compiler.algorithms.planar_plan",
        "compiler.algorithms.pooling_gradient",
        "compiler.algorithms.pooling_rows",
        "compiler.algorithms.pooling_tiles",
        "compiler.algorithms.winograd_output",
        "compiler.algorithms.winograd_weight_plan",
    ],
    [
        "compiler.algorithms.amx",
        "compiler.algorithms.dense_weight_blocks",
        "compiler.algorithms.depthwise_weight_plan",
        "compiler.algorithms.pooling",
        "compiler.algorithms.winograd",
    ],
    [
        "compiler.algorithms.amx_blocks",
        "compiler.algorithms.amx_weight",
        "compiler.algorithms.dense_weight_plan",
        "compiler.algorithms.depthwise",
        "compiler.algorithms.winograd_plan",
    ],
    [
        "compiler.algorithms.amx_plan",
        "compiler.algorithms.amx_weight_blocks",
    ],
    [
        "compiler.algorithms.amx_weight_plan",
    ],
    [
        "compiler.planner",
    ],
    ["ops.heap", "ops.kept", "ops.memo", "ops.seam", "ops.watching"],
    ["ops.last", "ops.registry"],
    ["ops.theirs", "ops.theirs.convolution", "ops.theirs.pooling"],
    ["ops.ours"],
    ["ops.again", "ops.ours_pooling"],
    ["ops.replays"],
    ["ops.convolution", "ops.local", "ops.pooling"],
    ["ops.fused", "ops.quick"],
    ["ops"],
    ["functional.arguments"],
    ["functional.checks", "functional.padding"],
    ["functional.convolution"],
    ["functional.fused", "functional.planes", "functional.pooling"],
    ["functional"],
    ["nn.convolution", "nn.local", "nn.pooling"],
    ["nn", "switch"],
    ["asked", "operands"],
    ["definition", "explain"],
    ["selfcheck", "tuning"],
    [""],
    ["analysis.endless", "analysis.inputs", "analysis.keeping", "analysis.calls", "analysis.rows"],
    ["analysis.reads", "analysis.record", "analysis.text"],
    ["analysis.chain", "analysis.reading", "analysis.report", "analysis.sight"],
    ["analysis.causes", "analysis.costs", "analysis.operands"],
    ["analysis.misfit"],
    ["analysis.capture"],
    ["analysis.mixing", "analysis.moving"],
    ["analysis.rules"],
    ["analysis.fields"],
    ["analysis.layers"],
    ["analysis.replay"],
    ["analysis.surrogate", "analysis.timing"],
    ["analysis.describe"],
    ["analysis.measure"],
    ["analysis"],
    ["bench", "bench.layer", "bench.networks", "bench.options"],
    ["bench.problems", "bench.task", "bench.timing", "bench.conditions"],
    ["bench.arrays", "bench.peers", "bench.results"],
    ["bench.libraries", "bench.xla"],
    ["bench.display", "bench.picture"],
    ["bench.table", "bench.whole"],
    ["bench.run", "bench.whole_run"],
    ["recognition", "recognition.ink", "recognition.files", "recognition.augment"],
    ["recognition.framing", "recognition.mnist", "recognition.interruption"],
    ["recognition.folder", "recognition.edges", "recognition.prediction"],
    ["recognition.dataset", "recognition.config", "recognition.model", "recognition.distributed"],
    ["recognition.checkpoint", "recognition.evaluation", "recognition.progress"],
    ["recognition.state"],
    ["recognition.train"],
    ["recognition.report"],
    ["pictures.style", "pictures.arithmetic", "pictures.saving", "pictures.planes"],
    ["pictures.animation", "pictures.canvas", "pictures.models"],
    ["pictures.parts"],
    [
        "pictures.channels",
        "pictures.learned",
        "pictures.matrix",
        "pictures.pooling",
        "pictures.receptive",
        "pictures.sharing",
        "pictures.sizes",
        "pictures.sliding",
    ],
    ["pictures"],
    ["lab"],
    ["lab.fields", "lab.guard", "lab.roofline"],
    ["lab.compare", "lab.drawing", "lab.learn", "lab.photo", "lab.window"],
    ["lab.cells", "lab.network"],
    ["lab.reading"],
    ["lab.unit"],
    ["lab.app"],
    ["lab.server"],
    ["lab_command"],
    ["analysis.loading"],
    ["draw_inputs"],
    ["draw_models"],
    ["analysis_commands", "commands", "draw_commands"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LIMIT = 400
BUDGET = 250
LONGER = {
    "functional/convolution.py",
    "ops/ours.py",
    "recognition/train.py",
    "switch.py",
    "cli.py",
}  # one theme each
STANDARD_LIBRARY_ONLY = ("errors", "geometry")


def name_of(file: Path) -> str:
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(file: Path) -> set[str]:
    """Return the modules of this package that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            whole = f"{node.module}."
            found.update(
                whole + alias.name if (whole + alias.name)[8:] in LEVEL else whole[:-1]
                for alias in node.names
            )
    return {name[8:] for name in found if name.startswith("faltung.")}


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_go_downward(file: Path) -> None:
    name = name_of(file)
    assert name in LEVEL, f"{name} has no place among the layers"
    if name:
        for other in imported(file):
            assert LEVEL[other] < LEVEL[name], f"{name} imports {other}, which is not below it"


def test_every_layer_names_modules_that_exist() -> None:
    assert set(LEVEL) == {name_of(file) for file in MODULES}


@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_pure_modules_stand_on_the_standard_library(name: str) -> None:
    text = (SOURCE / f"{name}.py").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(import|from) (torch|numpy|faltung)", text, re.MULTILINE)


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_files_stay_within_the_budget(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    most = LIMIT if str(file.relative_to(SOURCE)) in LONGER else BUDGET
    assert lines <= most


def test_public_names() -> None:
    assert faltung.__all__ == [
        "FaltungError",
        "__version__",
        "analysis",
        "cost",
        "disable",
        "enable",
        "enabled",
        "errors",
        "functional",
        "geometry",
        "is_enabled",
        "nn",
        "pictures",
        "precision",
        "receptive_field",
        "summary",
        "why",
    ]
    assert dir(faltung) == faltung.__all__
    with pytest.raises(AttributeError, match="module 'faltung' has no attribute 'nothing'"):
        faltung.nothing  # noqa: B018
    assert faltung.functional.__all__ == [
        "avg_pool2d",
        "conv2d",
        "conv2d_fused",
        "conv_transpose2d",
        "convolve2d",
        "correlate2d",
        "local2d",
        "max_pool2d",
        "min_pool2d",
    ]
    assert faltung.nn.__all__ == [
        "AvgPool2d",
        "Conv2d",
        "ConvTranspose2d",
        "LocallyConnected2d",
        "MaxPool2d",
        "MinPool2d",
    ]


@pytest.mark.parametrize("module", [faltung.functional, faltung.nn])
def test_public_names_exist_and_are_documented(module: object) -> None:
    for name in module.__all__:  # type: ignore[attr-defined]
        assert getattr(module, name).__doc__, name


def test_nothing_is_unpickled() -> None:
    for file in MODULES:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\bpickle\b|torch\.load\(|allow_pickle=True", text), file
