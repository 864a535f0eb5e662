"""The input gradient of means.

It is gathered: an element of the input adds up the shares of the windows that contain it, in
row-major order of the windows, as torch does, so that no two threads write to one place. Like the
pools it runs over vectors of channels, or of columns in phases (`planes`). Windows as wide as the
image that do not overlap are runs of memory, each of one number.
"""

from dataclasses import dataclass
from typing import Any

from faltung.compiler.algorithms import phases, planes
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.pooling_shape import flattened
from faltung.compiler.emit import Code, Index, Int, Pointer, Program, Vector
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

NAME = "pooling gradient"


@dataclass(frozen=True)
class Spec:
    """What the gradient of a mean is specialised on.

    Attributes:
        window: Taps along height and width.
        stride: Step of the window.
        source: What lies side by side in the output's gradient: "channels" (then in the input's
            too), "rows" or "any".
        sink: The same of the input's gradient.
        kind: Element type; bfloat16 is rounded after every addition, as torch does.
        whole: Windows are runs of a row and do not overlap.
    """

    window: tuple[int, int]
    stride: tuple[int, int]
    source: str
    sink: str
    kind: str
    whole: bool = False

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("mean") as code:
            a = planes.arguments(code, self.kind)
            if self.whole:
                _spans(code, self, a)
            elif self.source == "channels":
                _channels(code, self, a)
            else:
                _rows(code, self, a)
        return program


def refuses(problem: Problem, target: Target) -> str | None:
    """Return the sentence that says why these kernels do not take a problem, or None."""
    if problem.operation != "avg" or problem.direction != "input":
        return "it is the input gradient of means only"
    if problem.divisor < 0:
        return "the divisor is negative, and torch then signs zeros by memory format"
    return planes.unrolled(problem)


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return candidates, the best first."""
    flat = flattened(problem)
    if flat is not problem and (flat.result[1] == 1 or flat.window[1] <= flat.stride[1]):
        spec = Spec(flat.window, flat.stride, "any", "rows", flat.kind, whole=True)
        return [planes.plan(NAME, spec, flat, threads, "windows as wide as the image")]
    source = planes.layout(problem.strides[0], problem.channels, problem.result[1])
    sink = planes.layout(problem.strides[2], problem.channels, problem.size[1])
    channels = source == sink == "channels"
    if not channels:
        source, sink = ("any" if name == "channels" else name for name in (source, sink))
    spec = Spec(problem.window, problem.stride, source, sink, problem.kind)
    if channels:
        table = rounded(problem.result[1])
        sizes = {"table": table, "private": table}
        return [planes.plan(NAME, spec, problem, threads, "vectors of channels", **sizes)]
    (h, w), step = problem.size, problem.stride[1]
    behind = (problem.window[1] - 1) // step
    seen = (w - 1 + problem.padding[2]) // step + 1
    phase = behind + max(seen, problem.result[1]) + target.lanes
    rows, blocks = planes.rows_in_block(
        problem, h, (target.l1 // 8 // phase - 2) * problem.stride[0] - problem.window[0], threads
    )
    held = (rows + problem.window[0] - 2) // problem.stride[0] + 2
    table = rounded(problem.result[1])
    private = rounded(table + (step + held) * phase)
    sizes = {"rows": rows, "blocks": blocks, "phase": phase, "table": table, "private": private}
    schedule = f"vectors of columns, {rows} rows at a time"
    return [planes.plan(NAME, spec, problem, threads, schedule, **sizes)]


def _spans(code: Code, spec: Spec, a: Any) -> None:
    """Write the kernel for images of one row and windows that do not overlap."""
    first, last = code.share(a.images * a.channels)
    with code.loop(last, first) as task:
        image, channel = task // a.channels, task % a.channels
        source = a.source + (image * a.source_image + channel * a.source_channel)
        target = a.target + (image * a.target_image + channel * a.target_channel)
        done = code.int_variable(0)
        with code.loop(a.columns) as column:
            x = column * spec.stride[1] - a.left
            start = code.smaller(code.larger(x, 0), a.width)
            stop = code.larger(code.smaller(x + spec.window[1], a.width), start)
            planes.fill(code, target + done.get(), 0, start - done.get())
            divisor = planes.column_count(code, a, spec.window[1], x)
            share = code.rounded(
                code.load(source + column * a.source_column, 1) / divisor, spec.kind
            )
            _repeat(code, share + code.fill(0, 1), target + start, stop - start)
            done.set(stop)
        planes.fill(code, target + done.get(), 0, a.width - done.get())


def _repeat(code: Code, value: Vector, at: Pointer, count: Index) -> None:
    planes.ragged(code, count, lambda i, lanes: code.store(code.spread(value, lanes), at + i))


def _channels(code: Code, spec: Spec, a: Any) -> None:
    planes.column_counts(code, a, spec.window[1], spec.stride[1], a.mine)
    first, last = code.share(a.images * a.height)
    with code.loop(last, first) as task:
        y, image = task % a.height, task // a.height
        source, target = image * a.source_image, image * a.target_image + y * a.target_row
        rows = planes.around(code, y + a.top, spec.window[0], spec.stride[0], a.lines)
        with code.loop(a.width) as x:
            columns = planes.around(code, x + a.left, spec.window[1], spec.stride[1], a.columns)
            at = target + x * a.target_column
            _pixel(code, spec, a, (rows, columns), source, at)


def _pixel(
    code: Code,
    spec: Spec,
    a: Any,
    windows: tuple[tuple[Index, Index], tuple[Index, Index]],
    source: Int,
    at: Int,
) -> None:
    """Compute the channels of one pixel of the input's gradient from the windows around it."""
    rows, columns = windows

    def block(c: Index, lanes: int, vectors: int) -> None:
        sums = [code.variable(code.fill(0, lanes)) for _ in range(vectors)]
        with code.loop(rows[1], rows[0]) as row:
            count = planes.row_count(code, a, spec.window[0], row * spec.stride[0] - a.top)
            with code.loop(columns[1], columns[0]) as column:
                divisor = code.spread(code.load(a.mine + column, 1) * count, lanes)
                place = source + row * a.source_row + column * a.source_column + c
                for j, held in enumerate(sums):
                    share = code.load(a.source + (place + j * lanes), lanes) / divisor
                    share = code.rounded(share, spec.kind)
                    held.set(code.rounded(held.get() + share, spec.kind))
        for j, held in enumerate(sums):
            code.store(held.get(), a.target + (at + c + j * lanes))

    planes.over_channels(code, a.channels, block)


def _rows(code: Code, spec: Spec, a: Any) -> None:
    step, behind = spec.stride[1], (spec.window[1] - 1) // spec.stride[1]
    merged = a.mine + a.table
    shares = merged + a.phase * step
    planes.column_counts(code, a, spec.window[1], step, a.mine)
    rows = (a.rows + (spec.window[0] - 2 + 2 * spec.stride[0])) // spec.stride[0]
    planes.fill(code, shares, 0, rows * a.phase)
    first, last = code.share(a.images * a.channels * a.blocks)
    with code.loop(last, first) as task:
        block, plane = task % a.blocks, task // a.blocks
        image, channel = plane // a.channels, plane % a.channels
        source = a.source + (image * a.source_image + channel * a.source_channel)
        target = a.target + (image * a.target_image + channel * a.target_channel)
        y = block * a.rows
        stop = code.smaller(y + a.rows, a.height)
        top = planes.around(code, y + a.top, spec.window[0], spec.stride[0], a.lines)[0]
        end = planes.around(code, stop - 1 + a.top, spec.window[0], spec.stride[0], a.lines)[1]
        with code.loop(end, top) as line:
            row = shares + ((line - top) * a.phase + behind)
            _share(code, spec, a, source + line * a.source_row, line, row)
        with code.loop(stop, y) as i:
            low, high = planes.around(code, i + a.top, spec.window[0], spec.stride[0], a.lines)
            _gather(code, spec, a, merged, shares, (low - top, high - top))
            sources = phases.places(merged, step, a.left, a.phase)
            column = 1 if spec.sink == "rows" else a.target_column
            phases.merge(code, sources, a.width, target + i * a.target_row, column)


def _share(code: Code, spec: Spec, a: Any, source: Pointer, line: Index, row: Pointer) -> None:
    """Write what each window of a line gives to each of its elements."""
    count = planes.row_count(code, a, spec.window[0], line * spec.stride[0] - a.top)

    def some(x: Index, lanes: int) -> None:
        if spec.source == "rows":
            value = code.load(source + x, lanes)
        else:
            value = code.gather(source + x * a.source_column, a.source_column, lanes)
        share = value / (code.load(a.mine + x, lanes) * code.spread(count, lanes))
        code.store(code.rounded(share, spec.kind), row + x)

    planes.ragged(code, a.columns, some)


def _gather(
    code: Code, spec: Spec, a: Any, merged: Pointer, shares: Pointer, lines: tuple[Index, Index]
) -> None:
    """Add up the shares of the windows around each element of a line, which is left in phases."""
    step, taps = spec.stride[1], spec.window[1]
    behind = (taps - 1) // step
    start = a.left // step
    stop = (a.width - 1 + a.left) // step + 1
    with code.loop(stop, start, code.lanes) as k:
        sums = [code.variable(code.fill(0)) for _ in range(step)]
        with code.loop(lines[1], lines[0]) as line:
            row = shares + (line * a.phase + k)
            for q, held in enumerate(sums):
                for tap in reversed(range(q, taps, step)):
                    share = code.load(row + (behind - tap // step))
                    held.set(code.rounded(held.get() + share, spec.kind))
        for q, held in enumerate(sums):
            code.store(held.get(), merged + (k + q * a.phase))
