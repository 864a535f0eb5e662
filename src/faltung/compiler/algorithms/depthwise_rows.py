"""Depthwise panels whose vectors run along rows: one channel, positions of one element."""

from collections.abc import Sequence
from dataclasses import dataclass

from faltung.compiler.algorithms import panel
from faltung.compiler.emit import Code, Index, Int, Pointer, Vector


@dataclass(frozen=True)
class Source:
    """Rows of an image and the panel they are brought into.

    Attributes:
        size: Height and width of the image.
        row: Elements of the image from one row to the next.
        column: From one column to the next.
        near: The vectors' elements lie side by side.
        left: Columns of the panel left of the image; negative crops.
        width: Columns of the panel.
        pitch: Elements of the panel from one row to the next.
        segment: Elements from one segment of a row to the next.
        rests: Segments of a row: column c lies in segment c modulo `rests`.
    """

    size: tuple[Int, Int]
    row: Int
    column: Int
    near: bool
    left: Index
    width: Int
    pitch: Int
    segment: Int
    rests: int

    def columns(self, code: Code) -> tuple[Int, Int]:
        """Return the panel's first column inside the image and the number of those columns."""
        low, high = panel.inside(code, self.left, self.size[1], self.width)
        return low, high - low


def partial(code: Code, source: Pointer, target: Pointer, count: Int, lanes: int) -> None:
    """Copy fewer than `lanes` elements that lie side by side: the two halves may overlap."""
    if lanes == 1:
        return
    half = lanes // 2
    with code.either(count >= half) as (then, otherwise):
        with then:
            first, last = code.load(source, half), code.load(source + (count - half), half)
            code.store(first, target)
            code.store(last, target + (count - half))
        with otherwise:
            partial(code, source, target, count, half)


def line(code: Code, source: Pointer, target: Pointer, count: Int) -> None:
    """Copy elements that lie side by side; the last vector may overlap the one before it."""
    with code.either(count >= code.lanes) as (then, otherwise):
        with then, code.loop(count, 0, code.lanes) as i:
            at = code.smaller(i, count - code.lanes)
            code.store(code.load(source + at), target + at)
        with otherwise:
            partial(code, source, target, count, code.lanes)


def scattered(
    code: Code, source: Pointer, target: Pointer, count: Index, steps: tuple[Index, Index]
) -> None:
    """Copy elements that lie `steps` apart, one by one."""
    with code.loop(count) as i:
        code.store(code.load(source + i * steps[0], 1), target + i * steps[1])


def bring(
    code: Code, source: Source, base: Pointer, first: Index, rows: Index, room: Pointer
) -> None:
    """Bring rows of one channel of one image into a panel.

    Args:
        code: The function being written.
        source: The image and the form of the panel.
        base: The first element of the channel.
        first: Row of the image that becomes row 0; may lie outside.
        rows: Rows that are brought.
        room: The panel; what is left of the image and right of it is zero already.
    """
    low, count = source.columns(code)
    with code.loop(rows) as i:
        y, to = first + i, room + i * source.pitch
        with code.either((y >= 0) & (y < source.size[0])) as (then, otherwise):
            with then:
                at = base + y * source.row + (low - source.left) * source.column
                _row(code, source, at, to, low, count)
            with otherwise:
                panel.zeros(code, to, source.pitch)


def _row(code: Code, source: Source, at: Pointer, to: Pointer, low: Index, count: Int) -> None:
    """Copy a row into its segments; the first element belongs to column `low`."""
    rests, step = source.rests, 1 if source.near else source.column
    if rests == 1:
        if source.near:
            line(code, at, to + low, count)
        else:
            scattered(code, at, to + low, count, (step, 1))
        return
    starts = [to + (low + p) % rests * source.segment + (low + p) // rests for p in range(rests)]
    done: Index = 0
    if rests == 2 and source.near:
        both = 2 * code.lanes
        done = (count >= both).choose(count // 2 * 2, 0)
        with code.loop(done, 0, both) as i:
            x = code.smaller(i, done - both)
            pair = code.load(at + x), code.load(at + x + code.lanes)
            for p, start in enumerate(starts):
                code.store(code.shuffle(*pair, range(p, both, 2)), start + x // 2)
    for p, start in enumerate(starts):
        with code.loop((count - done + (rests - 1 - p)) // rests) as j:
            x = j * rests + done + p
            code.store(code.load(at + x * step, 1), start + x // rests)


def pack(
    code: Code, base: Pointer, strides: tuple[Int, Int], window: tuple[int, int], to: Pointer
) -> None:
    """Copy the weights of one output channel, tap after tap."""
    with code.loop(window[0]) as r:
        scattered(code, base + r * strides[0], to + r * window[1], window[1], (strides[1], 1))


def deliver(
    code: Code,
    phases: Sequence[Sequence[Vector]],
    stage: Pointer,
    base: Pointer,
    count: Int | None,
    step: Int | None,
    last: Int | None,
) -> None:
    """Write outputs of one row.

    Args:
        code: The function being written.
        phases: Vectors of each phase: output x is element x // phases of phase x modulo phases.
        stage: Room for all of them.
        base: The first output.
        count: Outputs that exist from there on, or None where all do; with `last`, all of the row.
        step: Elements from one output to the next, or None where they lie side by side.
        last: Outputs from the first to those of the last vector, if the row fills a vector at all.
    """
    lanes, number = code.lanes, len(phases)
    values = [value for phase in phases for value in phase]
    if number == 2:
        places = [[(i // 2 + i % 2 * lanes) for i in range(b, b + lanes)] for b in (0, lanes)]
        values = [code.shuffle(a, b, p) for a, b in zip(*phases, strict=True) for p in places]
    total = len(values) * lanes
    if number <= 2 and step is None:
        if count is None:
            _store(code, values, base)
        elif last is None:
            _store(code, values, stage)
            line(code, stage, base, count)
        else:
            with code.either(count >= lanes) as (then, otherwise):
                with then:
                    _store(code, values[:-1], base)
                    code.store(values[-1], base + last)
                with otherwise:
                    code.store(values[0], stage)
                    partial(code, stage, base, count, lanes)
        return
    _store(code, values, stage)
    exist = code.constant(total) if count is None else code.smaller(count, total)
    parts = number if number > 2 else 1
    apart: Index = 1 if step is None else step
    for b in range(parts):
        part, to = stage + b * (total // parts), base + b * apart
        scattered(code, part, to, (exist + (parts - 1 - b)) // parts, (1, apart * parts))


def _store(code: Code, values: Sequence[Vector], at: Pointer) -> None:
    for i, value in enumerate(values):
        code.store(value, at + i * code.lanes)
