"""The input gradient of maxima and minima whose windows tile the image, written window by window.

Each element of a window gets the window's gradient where it is the position, zero elsewhere:
nothing has to be zeroed before or read again, and neighbouring windows are computed together. Every
gradient must be placed exactly once; where a position lies outside its own window it is not, and a
flag says that the caller has to scatter instead.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from faltung.compiler.algorithms import phases, planes
from faltung.compiler.algorithms.argument_block import flag
from faltung.compiler.algorithms.pooling_shape import Shape
from faltung.compiler.emit import Code, Index, Int, Pointer, Program, Vector
from faltung.compiler.emit.positions import Counts, distances, equal
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

NAME = "pooling tiles"
FAR = 2**30  # elements of a plane whose positions are kept in 32 bits
AREA = 9  # elements of a window: each costs a comparison
FEW = 7  # windows of a row, below which vectors of them cost more than scattering each


@dataclass(frozen=True)
class Spec(Shape):
    """A kernel; its attributes are those of `Shape`, source and sink being gradients."""

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("tiles") as code:
            a = planes.arguments(code, self.kind)
            a.met, a.wanted = Counts(code, planes.widths(target)), code.int_variable(0)
            write = _channels if self.source == "channels" else _rows
            write(code, self, a)
            with code.when(a.met.total().equals(a.wanted.get()).negated()):
                code.store_int(1, flag(code, a.workspace))
        return program


def refuses(problem: Problem, target: Target) -> str | None:
    """Return the sentence that says why these kernels do not take a problem, or None."""
    if problem.operation not in {"max", "min"} or problem.direction != "input":
        return "it is the input gradient of maxima and minima only"
    plain = problem.window == problem.stride and problem.dilation == (1, 1)
    ends = (n * step for n, step in zip(problem.result, problem.stride, strict=True))
    over = any(end > size for end, size in zip(ends, problem.size, strict=True))
    if not plain or over or any(problem.padding) or problem.window == (1, 1):
        return "windows do not tile the image, each beside the one before and all inside"
    if problem.size[0] * problem.size[1] >= FAR:
        return "positions in the image need more than 32 bits"
    area = problem.window[0] * problem.window[1]
    if area > AREA:
        return f"it compares each element of a window, up to {AREA}, and here are {area}"
    return None if _layouts(problem) == ("channels", "channels") else _refuses_rows(problem)


def _refuses_rows(problem: Problem) -> str | None:
    """Return the same of vectors of columns."""
    width, columns = problem.window[1], problem.result[1]
    if width > 2:
        return f"it weaves up to 2 columns of a window into rows, and here are {width}"
    if columns < FEW:
        return f"it takes rows of {FEW} windows and more, and here are {columns}"
    return None


def _layouts(problem: Problem) -> tuple[str, str]:
    source = planes.layout(problem.strides[0], problem.channels, problem.result[1])
    return source, planes.layout(problem.strides[2], problem.channels, problem.size[1])


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return candidates, the best first."""
    source, sink = _layouts(problem)
    channels = source == sink == "channels"
    if not channels:
        source, sink = ("any" if name == "channels" else name for name in (source, sink))
    spec = Spec(
        "max", problem.window, problem.stride, problem.dilation, source, sink, problem.kind, True
    )
    chunk = planes.chunk(problem.channels, problem.images, threads) if channels else 1
    sizes = {"rows": chunk, "blocks": -(-problem.channels // chunk)}
    schedule = "vectors of channels" if channels else "vectors of columns"
    return [planes.guarded(planes.plan(NAME, spec, problem, threads, schedule, **sizes))]


def _shares(
    code: Code, spec: Shape, a: Any, at: Index, base: Index, step: int, lanes: int
) -> list[list[Vector]]:
    """Return what each element of neighbouring windows gets, rows of windows of lists of columns.

    The gradients lie at distance `at`, and the first elements of the windows at the positions
    base, base + step, ….
    """
    limit = a.width * spec.window[0]
    far = distances(code, a.extra + at, (base, step), limit, lanes)
    none = code.fill(0, lanes)
    value = code.load(a.source + at, lanes) + none
    a.wanted.set(a.wanted.get() + lanes)
    here = [
        [equal(code, far, code.spread_int(a.width * r + s, lanes)) for s in range(spec.window[1])]
        for r in range(spec.window[0])
    ]
    for mask in chain(*here):
        a.met.add(mask, lanes)
    return [[mask.choose(value, none) for mask in row] for row in here]


def _channels(code: Code, spec: Shape, a: Any) -> None:
    """Write the kernel over vectors of channels, of images or some of their channels."""
    first, last = code.share(a.images * a.blocks)
    with code.loop(last, first) as task:
        image, start = task // a.blocks, task % a.blocks * a.rows
        source = image * a.source_image + start
        target = a.target + (image * a.target_image + start)
        channels = code.smaller(a.channels - start, a.rows)
        with code.loop(a.lines) as line:
            row = target + line * spec.window[0] * a.target_row
            with code.loop(a.columns) as column:
                at = source + line * a.source_row + column * a.source_column
                base = line * spec.window[0] * a.width + column * spec.window[1]
                corner = row + column * spec.window[1] * a.target_column

                def some(
                    c: Index, lanes: int, at: Int = at, base: Int = base, corner: Pointer = corner
                ) -> None:
                    for r, values in enumerate(_shares(code, spec, a, at + c, base, 0, lanes)):
                        for s, value in enumerate(values):
                            place = r * a.target_row + s * a.target_column + c
                            code.store(value, corner + place)

                planes.ragged(code, channels, some)
        _beside(code, spec, a, target, lambda at: planes.fill(code, at, 0, channels))


def _rows(code: Code, spec: Shape, a: Any) -> None:
    """Write the kernel over vectors of columns, of planes."""
    width = spec.window[1]
    near = 1 if spec.source == "rows" else a.source_column
    apart = 1 if spec.sink == "rows" else a.target_column
    vectors = spec.source == spec.sink == "rows"
    first, last = code.share(a.images * a.channels)
    with code.loop(last, first) as task:
        image, channel = task // a.channels, task % a.channels
        source = image * a.source_image + channel * a.source_channel
        target = a.target + (image * a.target_image + channel * a.target_channel)
        with code.loop(a.lines) as line:
            row = target + line * spec.window[0] * a.target_row

            def some(x: Index, lanes: int, line: Int = line, row: Pointer = row) -> None:
                at = source + line * a.source_row + x * near
                base = line * spec.window[0] * a.width + x * width
                shares = _shares(code, spec, a, at, base, width, lanes)
                for r, values in enumerate(shares):
                    to = row + (r * a.target_row + x * width * apart)
                    for s, value in enumerate(phases.woven(code, values) if lanes > 1 else values):
                        code.store(value, to + s * lanes * apart)

            planes.ragged(code, a.columns, some, None if vectors else [1])
        _beside(code, spec, a, target, lambda at: code.store(code.fill(0, 1), at))


def _beside(
    code: Code, spec: Shape, a: Any, target: Pointer, zero: Callable[[Pointer], None]
) -> None:
    """Write zeros where no window lies: right of the last column of windows, below the last line.

    Args:
        code: The function being written.
        spec: The kernel.
        a: Its arguments.
        target: Where an image begins.
        zero: Writes what lies side by side at one of its places.
    """
    stop = a.lines * spec.window[0]
    for rows, columns in (
        ((0, stop), (a.columns * spec.window[1], a.width)),
        ((stop, a.height), (0, a.width)),
    ):
        with code.loop(rows[1], rows[0]) as y, code.loop(columns[1], columns[0]) as x:
            zero(target + (y * a.target_row + x * a.target_column))
