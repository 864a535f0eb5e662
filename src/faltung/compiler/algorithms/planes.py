"""What pools and their gradients share: argument block, ragged loops, divisors."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from faltung.compiler.algorithms.argument_block import FLAGS, read_arguments
from faltung.compiler.emit import Code, Index, Int, Pointer, Vector
from faltung.compiler.plan import Plan, Spec, Step
from faltung.compiler.problem import Problem, Strides
from faltung.compiler.target import Target

STAGE = 48  # float32 elements: a vector of values, and one of positions
SERIAL = 20_000  # bytes of tensors that are not worth waking other threads
BANDWIDTH = 8e9  # bytes a second and thread that pools move, for estimates
SIZES = (
    "images", "channels", "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column",
    "target_image", "target_channel", "target_row", "target_column",
    "top", "left", "low_row", "high_row", "low_column", "high_column", "divisor",
    "rows", "blocks", "private", "phase", "table",
)  # fmt: skip

TAPS = 1024  # taps of a window at most
LINE = 16  # channels of a pixel that a thread takes at least: a line of the cache
SIDE = 64  # stride at most


def layout(strides: Strides, channels: int, width: int) -> str:
    """Return what lies side by side: "channels", "rows" or "any"; a lone channel is no layout."""
    if channels > 1 and strides[1] == 1:
        return "channels"
    return "rows" if strides[3] == 1 or width == 1 else "any"


def arguments(code: Code, kind: str) -> Any:
    """Read the argument block; `extra` are the positions, wherever an operation has them."""
    a = read_arguments(code, kind, ("source", "extra", "unused", "target"), SIZES)
    a.extra = a.extra.cast("i64")
    a.mine = a.workspace + code.thread * a.private
    return a


def plan(
    name: str, spec: Spec, problem: Problem, threads: int, schedule: str, **sizes: int
) -> Plan:
    """Return the plan of one call of a kernel.

    Args:
        name: The algorithm.
        spec: The kernel.
        problem: What is asked.
        threads: Threads there are.
        schedule: What was decided, in words.
        **sizes: "rows", "blocks", "private", "phase" and "table" of `SIZES`; 0 where left out.
    """
    h, w = problem.size
    top, bottom, left, right = problem.padding
    counted = problem.count_padding
    known = {
        "images": problem.images, "channels": problem.channels, "height": h, "width": w,
        "lines": problem.result[0], "columns": problem.result[1], "top": top, "left": left,
        "low_row": -top if counted else 0, "high_row": h + bottom if counted else h,
        "low_column": -left if counted else 0, "high_column": w + right if counted else w,
        "divisor": problem.divisor, **sizes,
    }  # fmt: skip
    for tensor, strides in (("source", problem.strides[0]), ("target", problem.strides[2])):
        axes = ("image", "channel", "row", "column")
        known |= {f"{tensor}_{axis}": step for axis, step in zip(axes, strides, strict=True)}
    team = 1 if problem.bytes < SERIAL else min(threads, FLAGS // 2)
    return Plan(
        name,
        schedule,
        (Step(spec, tuple(known.get(size, 0) for size in SIZES)),),
        known.get("private", 0) * 4 * team,
        team,
        problem.bytes / (BANDWIDTH * team),
    )


def guarded(plan: Plan) -> Plan:
    """Return the same plan for a kernel that raises flags: before the threads' own memory."""
    steps = tuple(replace(step, guards=True) for step in plan.steps)
    return replace(plan, steps=steps, workspace=4 * FLAGS + plan.workspace)


def rows_in_block(problem: Problem, lines: int, most: int, threads: int) -> tuple[int, int]:
    """Return rows of a block and blocks of an image's `lines` rows.

    Args:
        problem: What is asked.
        lines: Rows there are.
        most: Rows that fit the cache.
        threads: Threads that want a block each.
    """
    planes = max(problem.images * problem.channels, 1)
    wanted = -(-threads // planes)
    blocks = min(max(-(-lines // max(most, 1)), wanted), lines)
    rows = -(-lines // blocks)
    return rows, -(-lines // rows)


def chunk(channels: int, tasks: int, threads: int) -> int:
    """Return how many channels, of those that lie side by side, a thread takes at a time.

    Args:
        channels: Channels there are.
        tasks: Parts of the work that have all of them.
        threads: Threads that want some each.
    """
    share = -(-channels // -(-threads // max(tasks, 1)))
    return min(-(-share // LINE) * LINE, channels)


def widths(target: Target) -> list[int]:
    """Return the vectors that loops of any length are made of, from the widest to one element."""
    return [n for n in (16, 8, 4, 1) if n <= target.lanes]


def ragged(
    code: Code,
    count: Index,
    body: Callable[[Index, int], None],
    sizes: Sequence[int] | None = None,
) -> None:
    """Cover `count` elements with vectors; the last one may overlap the one before.

    Args:
        code: The function being written.
        count: Number of elements.
        body: Writes what happens to elements at … at + lanes - 1; it may happen twice to some.
        sizes: Vectors to choose from, the widest first.
    """
    widest, *narrower = sizes or widths(code.target)
    if widest == 1:
        with code.loop(count) as at:
            body(at, 1)
        return
    total = Int(code, code.raw(count))
    with code.either(total >= widest) as (then, otherwise):
        with then:
            last = total - widest
            with code.loop(last, 0, widest) as at:
                body(at, widest)
            body(last, widest)
        with otherwise:
            ragged(code, total, body, narrower)


def fill(code: Code, at: Pointer, number: float, count: Index) -> None:
    """Write one number to neighbouring elements."""
    ragged(code, count, lambda i, lanes: code.store(code.fill(number, lanes), at + i))


def counted(code: Code, window: int, start: Index, low: Int, high: Int) -> Index:
    """Return how many elements a mean divides by along one axis, at least 1.

    Args:
        code: The function being written.
        window: Taps of the window.
        start: Where it begins.
        low: The first position that counts.
        high: The first one behind that does not.
    """
    return code.larger(code.smaller(start + window, high) - code.larger(start, low), 1)


def column_count(code: Code, a: Any, window: int, start: Index) -> Vector:
    """Return what means divide by along x, a scalar: the elements that count, or the divisor."""
    count = counted(code, window, start, a.low_column, a.high_column)
    return code.number(a.divisor.equals(0).choose(count, a.divisor))


def row_count(code: Code, a: Any, window: int, start: Index) -> Vector:
    """Return what means divide by along y, a scalar; 1 where there is a divisor."""
    count = counted(code, window, start, a.low_row, a.high_row)
    return code.number(a.divisor.equals(0).choose(count, 1))


def column_counts(code: Code, a: Any, window: int, stride: int, table: Pointer) -> None:
    """Tabulate `column_count` of every output column."""
    with code.loop(a.columns) as x:
        code.store(column_count(code, a, window, x * stride - a.left), table + x)


def around(
    code: Code, position: Index, extent: int, stride: int, count: Int
) -> tuple[Index, Index]:
    """Return the first window that contains a padded position, and the end of those that do.

    Args:
        code: The function being written.
        position: The distance from the first element of padding.
        extent: Elements from a window's first to its last.
        stride: Step of the window.
        count: Number of windows.
    """
    first = code.larger(position - (extent - stride), 0) // stride
    return first, code.smaller(position // stride + 1, count)


def over_channels(
    code: Code, channels: Int, body: Callable[[Index, int, int], None], most: int = 4
) -> None:
    """Cover channels: several vectors at once, then single ones, the last of which may overlap.

    Args:
        code: The function being written.
        channels: Number of channels.
        body: Writes what happens to `vectors` vectors of `lanes` channels from a channel on.
        most: Vectors at once.
    """
    lanes = code.lanes
    wide = channels // (most * lanes) * (most * lanes)
    with code.loop(wide, 0, most * lanes) as c:
        body(c, lanes, most)
    with code.either(channels >= lanes) as (then, otherwise):
        with then, code.loop(channels, wide, lanes) as c:
            body(code.smaller(c, channels - lanes), lanes, 1)
        with otherwise:
            ragged(code, channels, lambda c, n: body(c, n, 1), widths(code.target)[1:])


def unrolled(problem: Problem) -> str | None:
    """Return why windows are too large for kernels that write out every tap, or None."""
    taps = problem.window[0] * problem.window[1]
    if taps > TAPS or max(problem.stride) > SIDE:
        return (
            f"it writes out every tap of a window and every phase of a stride, up to {TAPS} and "
            f"{SIDE}, and here are {taps} and {max(problem.stride)}"
        )
    return None
