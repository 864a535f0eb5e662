"""The input gradient of maxima and minima.

It is scattered to the positions found on the way forward, in row-major order; planes are
independent, so that threads take images, or some of their channels. Rows are zeroed shortly before
positions are expected in them, so that they are still in a cache then. Positions outside the plane
are passed over.
"""

from dataclasses import dataclass, replace
from typing import Any

from faltung.compiler.algorithms import planes
from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.emit import Code, Condition, Index, Int, Pointer, Program
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import Target

NAME = "pooling scatter"
AHEAD = 2  # rows that are zeroed before positions are expected in them
PLANES = 4  # taken together: sums at one position wait for each other, those of planes do not
SUMS = 2**20  # bytes of sums for bfloat16 that a thread keeps where it can


@dataclass(frozen=True)
class Spec:
    """What a scattering kernel is specialised on.

    Attributes:
        layout: What lies side by side in both gradients: "channels", "rows" or "any".
        flat: Rows of the input's gradient follow each other without a gap.
        kind: Element type; sums of bfloat16 are kept in float32 and rounded once.
    """

    layout: str
    flat: bool
    kind: str

    @property
    def several(self) -> bool:
        """Whether a task has several channels."""
        return self.layout == "channels" or (
            self.layout == "rows" and self.flat and self.kind == "f32"
        )

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("scatter") as code:
            a = planes.arguments(code, self.kind)
            first, last = code.share(a.images * a.blocks)
            with code.loop(last, first) as task:
                _task(code, self, a, task // a.blocks, task % a.blocks * a.rows)
        return program


@dataclass(frozen=True)
class Sums:
    """Where gradients are added up.

    Attributes:
        base: First channel of the first position.
        flat: Rows follow each other without a gap.
        width: Elements of a row.
        steps: Distance of neighbouring channels, rows and columns.
    """

    base: Pointer
    flat: bool
    width: Int
    steps: tuple[Index, Index, Index]

    def beside(self, channel: Index) -> "Sums":
        """Return the sums of a channel behind the first."""
        return replace(self, base=self.base + channel * self.steps[0])

    def at(self, position: Int) -> Pointer:
        """Return the address of a position of the plane."""
        _, row, column = self.steps
        if self.flat:
            return self.base + position * column
        return self.base + (position // self.width * row + position % self.width * column)


def refuses(problem: Problem, target: Target) -> str | None:
    """Return the sentence that says why these kernels do not take a problem, or None."""
    if problem.operation not in {"max", "min"} or problem.direction != "input":
        return "it is the input gradient of maxima and minima only"
    return None


def plans(problem: Problem, target: Target, threads: int) -> list[Plan]:
    """Return candidates, the best first."""
    (h, w), (_, _, row, column) = problem.size, problem.strides[2]
    source = planes.layout(problem.strides[0], problem.channels, problem.result[1])
    sink = planes.layout(problem.strides[2], problem.channels, w)
    layout = source if source == sink else "any"
    flat = h == 1 or row == w * (1 if layout == "rows" else column)
    spec = Spec(layout, flat, problem.kind)
    chunk = min(PLANES, -(-problem.images * problem.channels // threads)) if spec.several else 1
    if layout == "channels":
        most = problem.channels if problem.kind == "f32" else max(SUMS // (4 * h * w), 1)
        chunk = planes.chunk(problem.channels, problem.images, threads)
        chunk = min(chunk, -(-most // planes.LINE) * planes.LINE)
    schedule = f"{chunk} channels at a time"
    sizes = {
        "rows": chunk,
        "blocks": -(-problem.channels // chunk),
        "private": rounded(0 if problem.kind == "f32" else h * w * chunk),
    }
    return [planes.plan(NAME, spec, problem, threads, schedule, **sizes)]


def _task(code: Code, spec: Spec, a: Any, image: Index, channel: Int) -> None:
    """Scatter the gradient of some channels of an image."""
    channels = code.smaller(a.channels - channel, a.rows) if spec.several else 1
    side = 1 if spec.layout == "channels" else a.target_channel
    column = 1 if spec.layout == "rows" else a.target_column
    target = a.target + (image * a.target_image + channel * a.target_channel)
    sums = Sums(target, spec.flat, a.width, (side, a.target_row, column))
    if spec.kind != "f32":
        sums = Sums(a.mine, True, a.width, (1, channels * a.width, channels))
    zeroed = code.int_variable(0)

    def zero(stop: Index) -> None:
        """Zero rows up to one."""
        first = zeroed.get()
        if spec.kind != "f32" or (spec.layout == "rows" and spec.flat):
            beside = channels if spec.kind != "f32" else 1
            count = code.larger(stop - first, 0) * (a.width * beside)
            with code.loop(channels if spec.kind == "f32" else 1) as c:
                planes.fill(code, sums.at(first * a.width) + c * side, 0, count)
        else:
            with code.loop(stop, first) as row:
                _along(code, spec, sums.at(row * a.width), column, a.width, channels, None)
        zeroed.set(code.larger(first, stop))

    with code.loop(a.lines) as y:
        zero(code.smaller((y + 1) * a.height // a.lines + AHEAD, a.height))
        place = image * a.source_image + channel * a.source_channel + y * a.source_row
        end = zeroed.get() * a.width
        with code.when(_line(code, spec, a, sums, place, channels, (0, end))):
            zero(a.height)
            _line(code, spec, a, sums, place, channels, (end, a.height * a.width))
    zero(a.height)
    if spec.kind != "f32":
        with code.loop(a.height) as row:
            line = target + row * a.target_row
            _along(code, spec, line, column, a.width, channels, sums.at(row * a.width))


def _line(
    code: Code, spec: Spec, a: Any, sums: Sums, place: Int, channels: Index, span: tuple[Index, Int]
) -> Condition:
    """Add a line's gradients whose positions lie in a span; say whether any lie behind it."""
    column = 1 if spec.layout == "rows" else a.source_column
    apart = 1 if spec.layout == "channels" else a.source_channel
    low, length = span[0], span[1] - span[0]
    behind = code.int_variable(0)

    def one(at: Index, sums: Sums, channel: Index = 0) -> None:
        position = code.load_int(a.extra + at)
        with code.either(code.within(position - low, length)) as (then, otherwise):
            with then:
                held = sums.at(position) + channel
                code.store(code.load(held, 1) + code.load(a.source + at, 1), held)
            with otherwise, code.when(code.within(position, a.height * a.width)):
                behind.set(Int(code, code.raw(1)))

    unroll = PLANES if spec.several else 1
    whole = channels // unroll * unroll
    parts = [(0, whole, unroll), (whole, channels, 1)] if spec.several else [(0, channels, 1)]
    if spec.layout == "channels":
        with code.loop(a.columns) as x:
            at = place + x * column
            for first, stop, count in parts:
                with code.loop(stop, first, count) as c:
                    for i in range(count):
                        one(at + (c + i), sums, c + i)  # cheaper than `beside` there
    else:
        for first, stop, count in parts:
            with code.loop(stop, first, count) as c:
                # What does not change in the loop over columns is computed before it.
                held = [(place + (c + i) * apart, sums.beside(c + i)) for i in range(count)]
                with code.loop(a.columns) as x:
                    for at, beside in held:
                        one(at + x * column, beside)
    return behind.get().equals(1)  # type: ignore[no-any-return]


def _along(
    code: Code,
    spec: Spec,
    line: Pointer,
    column: Index,
    width: Int,
    channels: Index,
    source: Pointer | None,
) -> None:
    """Write zeros, or what lies side by side at `source`, to some channels of a row."""

    def some(at: Pointer, source: Pointer | None, lanes: int) -> None:
        code.store(code.fill(0, lanes) if source is None else code.load(source, lanes), at)

    def moved(by: Index) -> Pointer | None:
        return None if source is None else source + by

    if spec.layout == "channels":
        whole = Int(code, code.raw(channels)).equals(column)
        with code.either(whole) as (then, otherwise):
            with then:
                planes.ragged(code, width * channels, lambda i, n: some(line + i, moved(i), n))
            with otherwise, code.loop(width) as x:
                planes.ragged(
                    code,
                    channels,
                    lambda i, n: some(line + (x * column + i), moved(x * channels + i), n),
                )
    elif spec.layout == "rows":
        planes.ragged(code, width, lambda i, n: some(line + i, moved(i), n))
    else:
        with code.loop(width) as x:
            some(line + x * column, moved(x), 1)
