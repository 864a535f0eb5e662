"""The input gradient of maxima and minima whose windows are known, gathered.

An element of the input adds up the gradients of those windows around it whose position it is, in
row-major order of the windows, as torch does: nothing has to be zeroed before, and neighbours are
computed together. Every gradient must have been taken exactly once in the end; where a position
lies outside its own window it was not, and a flag says that the caller has to scatter instead.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import planes, pooling_gather_rows
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.pooling_shape import Shape
from faltung.compiler.emit import Code, Index, Int, Program
from faltung.compiler.emit.positions import Counts, are
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

NAME = "pooling gather"
MOST = 12  # windows around an element: each costs a comparison
FAR = 2**30  # elements of a plane whose positions are kept in 32 bits


@dataclass(frozen=True)
class Spec(Shape):
    """A gathering kernel; its attributes are those of `Shape`, source and sink being gradients."""

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("gather") as code:
            a = planes.arguments(code, self.kind)
            a.mine = a.mine + planes.FLAGS
            met, wanted = Counts(code, planes.widths(target)), code.int_variable(0)
            write = _channels if self.source == "channels" else pooling_gather_rows.rows
            write(code, self, a, met, wanted)
            with code.when(met.total().equals(wanted.get()).negated()):
                code.store_int(1, a.workspace.cast("i64") + code.thread)
        return program


def refuses(problem: Problem, target: Target) -> str | None:
    """Return the sentence that says why these kernels do not take a problem, or None."""
    if problem.operation not in {"max", "min"} or problem.direction != "input":
        return "it is the input gradient of maxima and minima only"
    if problem.window == (1, 1):
        return "it needs to know the windows, and they are of more than one element"
    if problem.size[0] * problem.size[1] >= FAR:
        return "positions in the image need more than 32 bits"
    rows, columns = (
        -(-((taps - 1) * apart + 1) // step)
        for taps, apart, step in zip(problem.window, problem.dilation, problem.stride, strict=True)
    )
    if rows * columns > MOST:
        return (
            f"it compares positions with all windows around an element, up to {MOST}, and here "
            f"are {rows * columns}"
        )
    return planes.unrolled(problem)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return candidates, the best first."""
    source = planes.layout(problem.strides[0], problem.channels, problem.result[1])
    sink = planes.layout(problem.strides[2], problem.channels, problem.size[1])
    channels = source == sink == "channels"
    if not channels:
        source, sink = ("any" if name == "channels" else name for name in (source, sink))
    spec = Spec(
        "max", problem.window, problem.stride, problem.dilation, source, sink, problem.kind, True
    )
    if channels:
        chunk = planes.chunk(problem.channels, problem.images, threads)
        sizes = {"rows": chunk, "blocks": -(-problem.channels // chunk)}
        schedule = f"vectors of channels, {chunk} channels at a time"
    else:
        step = problem.stride[1]
        columns = (problem.size[1] - 1 + problem.padding[2]) // step + 1
        phase = rounded(spec.reach[1] // step + max(columns, problem.result[1]) + 2 * target.lanes)
        held = spec.reach[0] // problem.stride[0] + 1
        sizes = {"phase": phase, "private": (step + held) * 2 * phase}
        schedule = "vectors of columns, a plane at a time"
    return [planes.plan(NAME, spec, problem, threads, schedule, guards=True, **sizes)]


def _channels(code: Code, spec: Shape, a: Any, met: Counts, wanted: Any) -> None:
    """Write the kernel over vectors of channels, of images or some of their channels."""
    first, last = code.share(a.images * a.blocks)
    with code.loop(last, first) as task:
        image, start = task // a.blocks, task % a.blocks * a.rows
        source = image * a.source_image + start
        target = a.target + (image * a.target_image + start)
        channels = code.smaller(a.channels - start, a.rows)
        taken = code.int_variable(0)
        planes.over_channels(code, channels, lambda c, n, m: taken.set(taken.get() + n * m))
        wanted.set(wanted.get() + taken.get() * (a.lines * a.columns))
        with code.loop(a.height) as y:
            rows = planes.around(code, y + a.top, spec.reach[0] + 1, spec.stride[0], a.lines)
            with code.loop(a.width) as x:
                extent, step = spec.reach[1] + 1, spec.stride[1]
                columns = planes.around(code, x + a.left, extent, step, a.columns)
                pixel = _Pixel(y * a.width + x, rows, columns)
                at = target + (y * a.target_row + x * a.target_column)
                pixel.write(code, a, met, source, at, channels)


@dataclass(frozen=True)
class _Pixel:
    """A pixel of the input: its position, and the windows around it, from … to before."""

    position: Index
    rows: tuple[Index, Index]
    columns: tuple[Index, Index]

    def write(self, code: Code, a: Any, met: Counts, source: Int, at: Any, channels: Int) -> None:
        """Compute some channels of the pixel."""

        def block(c: Index, lanes: int, vectors: int) -> None:
            none = code.fill(0, lanes)
            sums = [code.variable(none) for _ in range(vectors)]
            with code.loop(self.rows[1], self.rows[0]) as row:
                with code.loop(self.columns[1], self.columns[0]) as column:
                    place = source + row * a.source_row + column * a.source_column + c
                    for j, held in enumerate(sums):
                        here = place + j * lanes
                        mine = are(code, a.extra + here, self.position, lanes)
                        met.add(mine, lanes)
                        share = code.load(a.source + here, lanes)
                        held.set(held.get() + mine.choose(share, none))
            for j, held in enumerate(sums):
                code.store(held.get(), at + (c + j * lanes))

        planes.over_channels(code, channels, block)
