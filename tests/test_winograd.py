"""Winograd's method: values, errors, bits, and numbers that it cannot treat."""

from dataclasses import replace

import pytest
import torch

from agreeing import FORMS, assert_agrees
from convolving import COMMON, TARGETS, VECTORS, Conv, Way, asked, computed, normal, planned
from faltung.compiler import machine, planner
from faltung.compiler.algorithms import undilated, winograd_plan, winograd_weight_plan
from faltung.compiler.algorithms.correlation import correlations
from faltung.compiler.algorithms.winograd import Inputs
from faltung.compiler.problem import parse
from faltung.compiler.target import pretending
from layouts import LAYOUTS
from test_kernel_bits import assert_same_alone, assert_same_for_teams
from test_kernel_values import STRANGE, assert_within, reals, torchs

LEVELS = [level for level in TARGETS if level != "tiles"]
BOTH, FIRST, GRADIENTS = ("forward", "input"), ("forward", "weight"), ("input", "weight")
ALL = ("forward", "input", "weight")
PROBLEMS = {  # and the directions in which Winograd's method takes them
    "3x3": (Conv(3, 1, 32, 48, (10, 13), (3, 3), padding=(1, 1, 1, 1)), ALL),
    "flipped": (Conv(2, 1, 48, 32, (9, 8), (3, 3), padding=(2, 0, 1, 1), flip=True), ALL),
    "dilated": (Conv(2, 1, 32, 33, (17, 16), (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)), ("forward",)),
    "apart": (Conv(2, 1, 48, 32, (9, 29), (3, 3), (1, 1), (0, 2, 3, 4), (1, 3), True), BOTH),
    "transposed": (Conv(2, 1, 48, 32, (16, 17), (4, 4), (2, 2), (1, 1, 1, 1)), GRADIENTS),
    "turned": (Conv(2, 1, 32, 48, (17, 20), (4, 2), (2, 1), (1, 2, 0, 1), flip=True), GRADIENTS),
    "2x2": (Conv(1, 1, 48, 32, (9, 11), (2, 2), padding=(1, 0, 0, 0)), BOTH[:1]),
}  # fmt: skip
UNEVEN = {  # tiles of 6 elements round
    "parts": (Conv(1, 1, 32, 330, (30, 30), (3, 3), padding=(1, 1, 1, 1)), FIRST[1:]),
    "4x4 tiles": (Conv(2, 1, 48, 40, (28, 31), (3, 3), padding=(1, 1, 1, 0)), FIRST),
    "5x5": (Conv(17, 1, 32, 48, (13, 15), (5, 5), padding=(2, 1, 2, 2), flip=True), FIRST),
}
CASES = [(name, way) for name, (_, directions) in PROBLEMS.items() for way in directions]
ROUNDED = [(name, way) for name, (_, directions) in UNEVEN.items() for way in directions]
STRANGERS = [  # weights of input gradients that are not finite are torch's
    (name, way, which, value)
    for name, way in CASES + ROUNDED
    for which in (0, 1)
    for value in ([] if (way, which) == ("input", 1) else STRANGE) + [3e38]
]
LARGER = {
    "64": (Conv(1, 1, 64, 64, (56, 56), (3, 3), padding=(1, 1, 1, 1)), ALL),
    "28": (Conv(1, 1, 32, 64, (28, 28), (3, 3), padding=(1, 1, 1, 1)), ALL),
    "48": (Conv(2, 1, 48, 32, (30, 28), (3, 3), padding=(1, 1, 1, 1)), ALL),
    "128": (Conv(1, 1, 128, 128, (28, 28), (3, 3), padding=(1, 1, 1, 1)), ALL),
    "512": (Conv(1, 1, 64, 512, (14, 14), (3, 3), padding=(1, 1, 1, 1)), BOTH),
    "512 wide": (Conv(1, 1, 32, 512, (14, 40), (3, 3), padding=(1, 1, 1, 1)), BOTH),
    "5x5": (Conv(16, 1, 64, 64, (14, 14), (5, 5), padding=(2, 2, 2, 2)), FIRST),
    "5x5 27x27": (Conv(4, 1, 64, 32, (27, 27), (5, 5), padding=(2, 2, 2, 2)), FIRST),
    "5x5 7x7": (Conv(60, 1, 32, 32, (7, 7), (5, 5), padding=(2, 2, 2, 2)), FIRST),
    "dilated": (Conv(1, 1, 64, 256, (33, 33), (3, 3), padding=(2, 2, 2, 2), dilation=(2, 2)), BOTH),
    "transposed": (Conv(2, 1, 64, 512, (16, 16), (4, 4), (2, 2), (1, 1, 1, 1)), GRADIENTS),
}  # fmt: skip
FACTOR = 2 if torch.backends.cpu.get_cpu_capability() == "AVX2" else 3  # other sums of torch's
MEASURED = [
    (name, way, form)
    for name, (_, directions) in LARGER.items()
    for way in directions
    for form in ("nchw", "nhwc")
] + [("5x5", "input", "nhwc")]  # torch's chains are longer there


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "direction"), CASES)
def test_whole_numbers_are_exact(name: str, direction: str, level: str) -> None:
    conv, _ = PROBLEMS[name]
    for number, form in enumerate(FORMS if level == LEVELS[0] else ("nchw", "nhwc")):
        assert_agrees(direction, conv, form, Way(TARGETS[level], 1 + number % 2, winograd=True))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "direction"), ROUNDED)
def test_real_numbers_are_within_rounding(name: str, direction: str, level: str) -> None:
    conv, way = UNEVEN[name][0], Way(TARGETS[level], winograd=True)
    for form in FORMS if level == LEVELS[0] else ("nchw", "nhwc"):
        first, second, bias = reals(direction, conv, form, 1)
        bias = None if direction == "weight" else bias
        result = computed(direction, conv, first, second, way, bias, FORMS[form][2])
        assert_within(direction, conv, result, first, second, bias, "")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("name", "direction"), CASES + ROUNDED)
def test_threads_and_images_do_not_change_bits(name: str, direction: str, level: str) -> None:
    if machine.team_runtime() is None:
        pytest.skip("no OpenMP runtime is loaded in this process, so that there are no teams")
    conv, _ = {**PROBLEMS, **UNEVEN}[name]
    assert_same_for_teams(direction, conv, "nhwc", level, winograd=True)
    if direction != "weight":
        assert_same_alone(direction, conv, "nchw", level, winograd=True)


@pytest.mark.parametrize("signs", ["mixed", "positive", "sparse"])
@pytest.mark.parametrize(("name", "direction", "form"), MEASURED)
def test_errors_are_no_more_than_twice_torchs(
    name: str, direction: str, signs: str, form: str
) -> None:
    conv, _ = LARGER[name]
    shapes = conv.shapes(direction)
    first, second = (LAYOUTS[FORMS[form][0]](normal(i, shapes[i])) for i in (0, 1))
    if signs == "positive":
        first, second = first.abs(), second.abs()
    if signs == "sparse":  # as behind relu: half of x, of dy, or of both is zero
        first = first * (normal(2, shapes[0]) > 0) if direction == "input" else first.relu()
        second = second * (normal(3, shapes[1]) > 0) if direction == "weight" else second
    truth = torchs(direction, conv, first.double(), second.double())
    way = Way(machine.host(), winograd=True)
    ours = computed(direction, conv, first, second, way, layout=FORMS[form][2])
    theirs = torchs(direction, conv, first, second)
    error, allowed = (float((y.double() - truth).norm() / truth.norm()) for y in (ours, theirs))
    assert error <= FACTOR * allowed


@pytest.mark.parametrize(("name", "direction", "which", "value"), STRANGERS)
def test_numbers_that_it_cannot_treat_go_to_a_direct_sum(
    name: str, direction: str, which: int, value: float
) -> None:
    conv, _ = {**PROBLEMS, **UNEVEN}[name]
    shapes = conv.shapes(direction)
    operands = [normal(i, shapes[i]) for i in (0, 1)]
    operands[which].view(-1)[-1] = value
    ways = (Way(VECTORS, winograd=winograd) for winograd in (True, False))
    found, direct = (computed(direction, conv, operands[0], operands[1], way) for way in ways)
    assert torch.equal(found.nan_to_num(1e30), direct.nan_to_num(1e30))


@pytest.mark.parametrize("value", [*STRANGE, 3e38])
@pytest.mark.parametrize(("which", "place"), [(0, 0), (0, -1), (1, 0), (1, -1)])
def test_every_group_of_shared_tiles_tells_what_it_cannot_treat(
    which: int, place: int, value: float
) -> None:
    conv = Conv(4, 1, 192, 192, (14, 14), (3, 3), padding=(1, 1, 1, 1))
    first, second, result = (normal(i, shape) for i, shape in enumerate(conv.shapes("forward")))
    (first, second)[which].view(-1)[place] = value
    way = Way(VECTORS, winograd=True)
    plan = planned(asked("forward", conv, (first, second, result), False, way), way)
    assert sum(isinstance(step.spec, Inputs) for step in plan.steps) > 1
    assert all(step.guards for step in plan.steps)
    found, direct = (
        computed("forward", conv, first, second, each)
        for each in (way, replace(way, winograd=False))
    )
    assert torch.equal(found.nan_to_num(1e30), direct.nan_to_num(1e30))


@pytest.mark.parametrize("text", [
    "ic64ih33oc64kh3ph2dh2", "ic64ih40oc64kh3ph2dh2dw3 flip", "ic64ih31iw9oc64kh3ph1dh4dw1",
])  # fmt: skip
def test_parts_without_dilation_cover_every_output_once(text: str) -> None:
    (job,), _ = correlations(parse(text))
    seen, parts = set(), undilated.undilated(job)
    assert len(parts) == job.dilation[0] * job.dilation[1]
    for part in parts:
        assert part.dilation == (1, 1)
        row, column = part.target[2:4]
        for y in range(part.result[0]):
            for x in range(part.result[1]):
                seen.add(part.target[4] + y * row + x * column)
    assert seen == set(range(job.result[0] * job.result[1]))


@pytest.mark.parametrize(("text", "tiles"), [
    ("input ic32ih28oc64kh3ph1 nhwc", "F(4x4, 3x3)"), ("input ic32ih28oc64kh3ph1", "F(2x2, 3x3)"),
    ("input ic64ih28oc32kh3ph1 nhwc", "F(2x2, 3x3)"),
    ("input ic64ih14oc64kh5ph2 nhwc", "F(2x2, 5x5)"),
])  # fmt: skip
def test_input_gradients_have_larger_tiles_where_torch_sums_in_chains(
    text: str, tiles: str
) -> None:
    plan = planner.explain(parse(text), COMMON, 1).plan
    assert (plan.algorithm, plan.schedule[: len(tiles)]) == (winograd_plan.NAME, tiles)


@pytest.mark.parametrize(("text", "reason"), [
    ("ic64ih33oc64kh3ph12dh12", "with stride 1, or what is made of such"),
    ("ic64ih20oc64kh3ph3dh3", "49 outputs in each of 9 parts of an image"),
    ("ic64ih56oc64kh3ph1sh2", "with stride 1, or what is made of such"),
    ("input ic64ih56oc64kh3ph1sh2", "with stride 1, or what is made of such"),
    ("input ic64ih14oc64kh5ph2", "error"),
    ("weight ic64ih14oc64kh5ph2", "error"),
    ("weight ic64ih33oc64kh3ph2dh2", "short chains"),
    ("weight ic64ih5iw60oc64kh3ph1", "less than 6 such rows"),
    ("weight ic64ih9iw200oc64kh3ph1", "less than 10 such rows"),
    ("input ic64ih56oc64kh2", "twice torch's"),
    ("input ic64ih56oc64kh5 nhwc", "twice torch's"),
    ("ic64ih33oc64kh5ph4dh2", "short chains"),
    ("weight ic64ih7oc64kh3ph1", "98 pixels"),
])  # fmt: skip
def test_what_it_does_not_take_and_why(text: str, reason: str) -> None:
    refusals = dict(planner.explain(parse(text), COMMON, 1).refusals)
    weight = text.startswith("weight")
    assert reason in refusals["winograd weight gradient" if weight else winograd_plan.NAME]


@pytest.mark.parametrize(
    "text",
    [
        "ic64ih56oc64kh3ph1",
        "mb4ic64ih27oc192kh5ph2",
        "mb8ic256ih14oc256kh3ph1",
        "ic256ih56oc256kh3ph1",
        "mb4ic192ih13oc384kh3ph1",
        "ic512ih14oc512kh3ph1",
        "ic512ih56oc128kh3ph1",
        "mb64ic48ih20oc400kh3ph1",
    ],
)
def test_gradients_of_weights_hold_little_more_than_a_copy_of_what_they_read(text: str) -> None:
    problem = parse(f"{text} weight f32 nchw nchw")
    target = pretending(machine.host(), "avx2")  # with 16 lanes some are refused
    assert winograd_weight_plan.refuses(problem, target) is None
    plan = winograd_weight_plan.plans(problem, target, 2)[0]
    made = 4 * problem.channels * problem.outputs * problem.window[0] * problem.window[1]
    read = problem.bytes - made
    assert plan.workspace + made <= max(1.1 * (read + made), 2.1 * made)
