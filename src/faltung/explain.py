"""Which kernel runs for a layer or a problem, and why the others do not."""

import statistics
import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from faltung import asked
from faltung.accuracy import PROMISES
from faltung.compiler import kernel, planner
from faltung.compiler.call import Call, ready
from faltung.compiler.plan import Plan, Spec
from faltung.compiler.problem import DIRECTIONS, Problem
from faltung.compiler.target import Target
from faltung.errors import ArgumentError
from faltung.operands import DTYPES, operands
from faltung.ops import ours, seam

OPERATORS = {
    ("conv", "forward"): "conv2d",
    ("conv", "input"): "conv2d_input_gradient",
    ("conv", "weight"): "conv2d_weight_gradient",
    ("max", "forward"): "max_pool2d",
    ("max", "input"): "extreme_pool2d_gradient",
    ("min", "forward"): "min_pool2d",
    ("min", "input"): "extreme_pool2d_gradient",
    ("avg", "forward"): "avg_pool2d",
    ("avg", "input"): "avg_pool2d_gradient",
}
SAMPLES = 25  # calls that are timed at most
PATIENCE = 1.0  # seconds after which no call is timed any more


@dataclass(frozen=True)
class Origin:
    """A kernel, and how it was come by.

    Attributes:
        name: What it is specialised on.
        origin: "compiled", or "store" where it lay on disk.
        seconds: What that took, once in this process.
    """

    name: str
    origin: str
    seconds: float

    def __str__(self) -> str:
        """Return the kernel as one line."""
        how = "compiled" if self.origin == "compiled" else "loaded from the store"
        return f"{self.name}, {how} in {self.seconds * 1e3:.1f} ms"


@dataclass(frozen=True)
class Why:
    """Which kernel runs, and why; `str` shows it in lines.

    Attributes:
        problem: What is asked.
        target: The CPU that kernels are made for.
        ours: A kernel of this library runs; otherwise torch's own operator does.
        reason: One sentence that says why.
        plan: How this library solves the problem, or None where it does not.
        otherwise: What runs where the plan meets infinities, NaN or magnitudes that it cannot
            treat; None where it treats all.
        kernels: The kernels of both.
        refusals: For each other algorithm its name and the sentence that says why it does not run.
        macs: Products that are summed, padding included; for pools, elements that are compared.
        bytes: Bytes of all tensors, each once.
        milliseconds: Median time of the plan, or None where none was measured.
        selection: Why this algorithm runs and not another that takes the problem.
    """

    problem: Problem
    target: Target
    ours: bool
    reason: str
    plan: Plan | None
    otherwise: Plan | None
    kernels: tuple[Origin, ...]
    refusals: tuple[tuple[str, str], ...]
    macs: int
    bytes: int
    milliseconds: float | None = None
    selection: str = planner.FIRST

    def __str__(self) -> str:
        """Return a line for each fact."""
        lines = [
            ("problem", str(self.problem)),
            ("work", f"{self.macs:,} multiply-adds, {self.bytes:,} bytes"),
            ("CPU", str(self.target)),
            ("runs", f"{'ours' if self.ours else 'theirs'}: {self.reason}"),
        ]
        if self.problem.operation == "conv" and self.problem.kind == "f32":
            asked = self.problem.precision
            lines.insert(2, ("precision", f"{asked}: {PROMISES[asked]}"))
        if self.problem.operation != "conv":
            lines[1] = ("work", f"{self.macs:,} elements of windows, {self.bytes:,} bytes")
        if self.plan is not None:
            lines += self._planned(self.plan)
        lines += [("kernel", str(origin)) for origin in self.kernels]
        lines += [("not", f"{name}: {sentence}") for name, sentence in self.refusals]
        return "\n".join(f"{name:<10} {value}" for name, value in lines)

    def _planned(self, plan: Plan) -> list[tuple[str, str]]:
        why = "" if self.selection == planner.FIRST else f", {self.selection}"
        lines = [
            ("algorithm", f"{plan.algorithm}{why}"),
            ("schedule", plan.schedule),
            ("workspace", f"{plan.workspace:,} bytes"),
            ("threads", str(plan.threads)),
        ]
        first = plan.preparation
        if first is not None:
            kept = "kept while the weights do not change" if first.pays else "made at every call"
            lines.append(("weights", f"{first.size:,} bytes in the kernel's order, {kept}"))
        if plan.cost > 0:
            lines.append(("expected", self._rate(plan.cost)))
        if self.milliseconds is not None:
            lines.append(("measured", f"{self._rate(self.milliseconds / 1e3)}, median"))
        if plan.guarded:
            other = "torch's" if self.otherwise is None else self.otherwise.algorithm
            if self.problem.operation != "conv":
                cause = "a position lies outside its window"
            elif plan.exact:
                cause = "weights are infinite or NaN"
            else:
                cause = "numbers are infinite, NaN, or of a size that it cannot treat"
            lines.append(("otherwise", f"{other}, where {cause}"))
        if self.otherwise is not None and self.otherwise.guarded:
            lines.append(("or", "torch's, where weights are infinite or NaN"))
        return lines

    def _rate(self, seconds: float) -> str:
        if self.problem.operation != "conv":
            return f"{seconds * 1e3:.4g} ms, {self.bytes / seconds / 1e9:.3g} GB/s"
        return f"{seconds * 1e3:.4g} ms, {2 * self.macs / seconds / 1e9:.3g} GFLOP/s"


def why(
    layer_or_text: torch.nn.Module | str,
    x: Tensor | None = None,
    *,
    direction: str = "forward",
    measured: bool = False,
) -> Why:
    """Say which kernel runs for a problem or a layer, and why the others do not.

    Its kernels are compiled, unless they are known already.

    Args:
        layer_or_text: A problem as text, such as "ic64ih56oc64kh3ph1" or
            "conv weight mb8ic3ih224oc64kh7sh2ph3 f32 nhwc"; or a convolution or pool of
            `torch.nn` or `faltung.nn`.
        x: What the layer would be called with; not for a text.
        direction: Of a layer: "forward", "input" or "weight" (the gradients). A text says its own.
        measured: Also measure the time of the plan, on random data.

    Returns:
        The facts; print them.

    Raises:
        ArgumentError: The text is no problem, or an argument breaks its rule.
        FaltungError: What the layer's function raises for this input.
    """
    if direction not in DIRECTIONS:
        raise ArgumentError(
            f"direction is {direction!r}: it must be one of {', '.join(DIRECTIONS)}"
        )
    if isinstance(layer_or_text, str):
        if x is not None or direction != "forward":
            raise ArgumentError(
                "x or direction is given beside a text, which says sizes and direction itself: "
                "leave them out, or give a layer"
            )
        problem = asked.stated(layer_or_text)
        stand_in = torch.empty(0, dtype=DTYPES[problem.kind])
        return _explained(problem, seam.choose(_operator(problem), stand_in), None, measured)
    call = asked.call(layer_or_text, x)
    problem = asked.problem(call, direction)
    return _explained(problem, seam.choose(_operator(problem), call.x), call, measured)


def _operator(problem: Problem) -> str:
    return OPERATORS[problem.operation, problem.direction]


def _explained(
    problem: Problem, choice: seam.Choice, called: asked.Called | None, measured: bool
) -> Why:
    runs, reason = choice.ours, choice.reason
    if called is not None:
        runs, reason = asked.verdict(called, choice)
    size = 4 if called is None else called.x.itemsize
    macs, count = problem.macs, replace(problem, kind="f32").bytes // 4
    target = ours.target()
    plan, otherwise, refusals, selection = _planned(problem, target)
    if runs and plan is None:
        runs, reason = False, "no algorithm of ours takes it; torch's operator runs"
    plans = [p for p in (plan, otherwise) if p is not None]
    specs = dict.fromkeys(step.spec for p in plans for step in p.called)
    kernels = tuple(_origin(spec, target) for spec in specs)
    milliseconds = None
    if measured and plan is not None:
        milliseconds = _median(problem, ready(plan, target, otherwise))
    return Why(
        problem, target, runs, reason, plan, otherwise, kernels, refusals,
        macs, size * count, milliseconds, selection,
    )  # fmt: skip


def _planned(
    problem: Problem, target: Target
) -> tuple[Plan | None, Plan | None, tuple[tuple[str, str], ...], str]:
    """Return our plan, if any, its substitute, what other algorithms say, and why it was chosen."""
    if problem.kind not in DTYPES or problem.images == 0:
        return None, None, (), planner.FIRST
    try:
        found = planner.explain(problem, target, ours.threads())
    except ValueError:
        said = ((a.NAME, a.refuses(problem, target)) for a in planner.ALGORITHMS)
        refusals = tuple((name, sentence) for name, sentence in said if sentence is not None)
        return None, None, refusals, planner.FIRST
    return found.plan, found.otherwise, found.refusals, found.reason


def _origin(spec: Spec, target: Target) -> Origin:
    made = kernel.get(spec, target)
    home = type(spec).__module__.rpartition(".")[2]
    return Origin(f"{home}.{spec!r}", made.origin, made.seconds)


def _median(problem: Problem, call: Call) -> float:
    """Return the median milliseconds of a call on random data."""
    at = operands(problem, torch.randn)
    taken: list[float] = []
    began = time.perf_counter()
    ours.run(call, *at.addresses)
    while len(taken) < SAMPLES and (not taken or time.perf_counter() - began < PATIENCE):
        before = time.perf_counter()
        ours.run(call, *at.addresses)
        taken.append(time.perf_counter() - before)
    return statistics.median(taken) * 1e3
