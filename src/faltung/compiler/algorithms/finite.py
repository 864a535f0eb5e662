"""Weights that are infinite or NaN raise a flag.

Kernels of input gradients bring dy into panels with zeros around it. There zero times infinity, or
NaN, would reach elements that such a tap does not touch; where a flag is raised, torch's kernel
computes the call.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from faltung.compiler.algorithms import planes
from faltung.compiler.algorithms.argument_block import flag, read_arguments
from faltung.compiler.algorithms.correlation import Correlation
from faltung.compiler.emit import Index, Program
from faltung.compiler.plan import Step
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

PIECE = 4096  # elements of a run that a thread looks at in one go
SIZES = (
    "first", "second", "third", "first_step", "second_step", "third_step",
    "length", "step", "pieces",
)  # fmt: skip


@dataclass(frozen=True)
class Finite:
    """The kernel.

    Attributes:
        kind: Element type of the weights.
        near: The elements of a run lie side by side.
    """

    kind: str
    near: bool

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("finite") as code:
            a = read_arguments(code, self.kind, ("unused", "weights"), SIZES)
            worst = code.variable(code.fill(0))
            first, last = code.share(a.first * a.second * a.third * a.pieces)
            with code.loop(last, first) as task:
                piece, run = task % a.pieces, task // a.pieces
                base = a.weights + run % a.third * a.third_step
                base = base + run // a.third % a.second * a.second_step
                base = base + run // a.third // a.second * a.first_step
                begin = piece * PIECE
                base = base + begin * a.step
                column: Index = 1 if self.near else a.step

                def look(at: Index, lanes: int) -> None:
                    value = code.load(base + at * column, lanes)
                    whole = value if lanes > 1 else code.spread(value, code.lanes)
                    worst.set(code.largest(worst.get(), whole))

                sizes = (code.lanes, 1) if self.near else (1,)
                planes.ragged(code, code.smaller(a.length - begin, PIECE), look, sizes)
            with code.when(code.all_below(worst.get(), math.inf).negated()):
                code.store_int(1, flag(code, a.workspace))
        return program


def guard(problem: Problem, jobs: Iterable[Correlation]) -> list[Step]:
    """Return the step that looks at a problem's weights, where zeros around dy would meet them."""
    inside = problem.direction == "forward" or all(job.inside for job in jobs)
    return [] if inside else [looking(problem)]


def looking(problem: Problem) -> Step:
    """Return the step that looks at a problem's weights."""
    weights = (problem.outputs, problem.channels // problem.groups, *problem.window)
    axes = sorted(zip(problem.strides[1], weights, strict=True), reverse=True)
    runs: list[tuple[int, int]] = []
    for step, count in axes:
        if runs and runs[-1][0] == step * count:
            runs[-1] = (step, runs[-1][1] * count)
        elif count > 1:
            runs.append((step, count))
    *outer, (step, length) = runs or [(1, 1)]
    outer = [(0, 1)] * (3 - len(outer)) + outer
    steps, counts = zip(*outer, strict=True)
    numbers = (*counts, *steps, length, step, -(-length // PIECE))
    return Step(Finite(problem.kind, step == 1), numbers, guards=True, computes=False)
