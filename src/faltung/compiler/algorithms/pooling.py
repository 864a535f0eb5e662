"""Maxima, minima and means over windows: which kernel takes them, and how they are cut up."""

from dataclasses import dataclass, replace

from faltung.compiler.algorithms import planes, pooling_channels, pooling_rows
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.pooling_shape import Shape, flattened
from faltung.compiler.emit import Program
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

NAME = "pooling"


@dataclass(frozen=True)
class Spec(Shape):
    """A pooling kernel; its attributes are those of `Shape`."""

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region(self.operation) as code:
            a = planes.arguments(code, self.kind)
            if self.source == "channels" or self.across:
                pooling_channels.channels(code, self, a)
            else:
                pooling_rows.rows(code, self, a)
        return program


def refuses(problem: Problem, target: Target) -> str | None:
    """Return the sentence that says why these kernels do not take a problem, or None."""
    if problem.operation == "conv" or problem.direction != "forward":
        return "it pools, forward only"
    if problem.divisor < 0:
        return "the divisor is negative, and torch then signs zeros by memory format"
    if problem.indices and problem.window[0] * problem.dilation[0] * problem.size[1] >= 2**30:
        return "the image is so wide that positions in a window need more than 32 bits"
    return planes.unrolled(problem)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return candidates, the best first."""
    flat = flattened(problem)
    if flat.result[1] * 2 <= target.lanes <= flat.channels:
        problem = flat
    (_, w), (lines, columns) = problem.size, problem.result
    source = planes.layout(problem.strides[0], problem.channels, w)
    sink = planes.layout(problem.strides[2], problem.channels, columns)
    channels = source == sink == "channels"
    if not channels:
        source, sink = ("any" if name == "channels" else name for name in (source, sink))
    spec = Spec(
        problem.operation, problem.window, problem.stride, problem.dilation,
        source, sink, problem.kind, problem.indices,
    )  # fmt: skip
    across = not channels and columns * 2 <= target.lanes <= problem.channels
    if channels or across:
        chunk = planes.chunk(problem.channels, problem.images * lines, threads)
        sizes = {"rows": chunk, "blocks": -(-problem.channels // chunk)}
        schedule = "vectors of channels"
        if across:
            beside = source == "rows" and problem.dilation[1] == 1
            together = beside and problem.window[1] >= target.lanes
            spec = replace(spec, source="any", sink="any", across=True, together=together)
            schedule, sizes["private"] = "vectors of channels apart", planes.STAGE
        return [planes.plan(NAME, spec, problem, threads, schedule, **sizes)]
    spec = replace(spec, direct=_direct(problem, target, source))
    step = problem.stride[1]
    seen = (w - 1 + problem.padding[2]) // step + 1
    phase = max(seen, max(columns, target.lanes) + spec.reach[1] // step)
    fitting = (target.l1 // 16 // (phase * step) - spec.reach[0] - 1) // problem.stride[0] + 1
    rows, blocks = planes.rows_in_block(problem, lines, fitting, threads)
    table = rounded(columns + target.lanes)
    held = ((rows - 1) * problem.stride[0] + spec.reach[0] + 1) * phase * step
    sizes = {"rows": rows, "blocks": blocks, "phase": phase, "table": table}
    private = rounded(table + planes.STAGE + held)
    schedule = f"vectors of columns, {rows} rows at a time"
    return [planes.plan(NAME, spec, problem, threads, schedule, private=private, **sizes)]


def _direct(problem: Problem, target: Target, source: str) -> bool:
    """Return whether windows are best read where they are: all inside, in vectors, near by."""
    ends = (
        (n - 1) * step + (taps - 1) * apart
        for n, step, taps, apart in zip(
            problem.result, problem.stride, problem.window, problem.dilation, strict=True
        )
    )
    inside = all(end < n for end, n in zip(ends, problem.size, strict=True))
    long = problem.result[1] >= target.lanes
    return (
        source == "rows" and long and problem.stride[1] <= 2 and inside and not any(problem.padding)
    )
