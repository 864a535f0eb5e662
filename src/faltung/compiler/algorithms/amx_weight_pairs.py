"""Panels of the weight gradient on a matrix unit: the gradient of the output, in pairs of pixels.

[tile][step of 32 places][piece][half][pair][output][2], bfloat16; the places p of a block are those
of `amx_weight_panel`. Where p belongs to no output there is zero, so that it does not matter which
finite number of the input it meets.
"""

from typing import Any

from faltung.compiler.algorithms import panel
from faltung.compiler.algorithms.amx_form import HALF
from faltung.compiler.algorithms.amx_weight_panel import (
    SQUARE,
    STEP,
    WIDTH,
    Block,
    Layouts,
    Rooms,
    copy,
    line,
)
from faltung.compiler.emit import Code, Condition, Int, Pointer, Variable, shorts


def bring(
    code: Code, spec: Layouts, a: Any, to: Rooms, block: Block, first: Pointer, outputs: Int
) -> None:
    """Bring a block of the gradient, of a tile of outputs, to [output p][32].

    Args:
        code: The function being written.
        spec: Layouts.
        a: The arguments.
        to: Where it goes.
        block: What is brought.
        first: The first row of the first output of the first image.
        outputs: Outputs that there are, at most 32.
    """
    panel.zeros(code, to.staged, block.steps * (STEP * WIDTH))
    with code.loop(block.images) as image, code.loop(block.lines) as row:
        source = first + image * a.dy_image + row * a.dy_row
        out = to.staged + (image * block.slot + row) * a.pitch * WIDTH
        if spec.dy == "channels":
            with code.loop(a.columns) as x:
                copy(code, source + x * a.dy_column, out + x * WIDTH, outputs)
        else:
            for half in range(0, WIDTH, SQUARE):
                at = source + half * a.dy_channel
                with code.when(outputs > half):
                    _turn(code, spec, a, to, at, out + half, outputs - half)


def _turn(
    code: Code, spec: Layouts, a: Any, rooms: Rooms, source: Pointer, out: Pointer, outputs: Int
) -> None:
    """Bring a line of up to 16 outputs to [x][output]; behind its end there will be zeros."""
    with code.loop(SQUARE) as k:
        to = rooms.turned + k * a.line
        with code.either(k < outputs) as (there, missing):
            with there:
                line(code, spec.dy, source + k * a.dy_channel, a.dy_column, to, a.columns)
            with missing:
                panel.zeros(code, to, a.columns)
    with code.loop(a.columns, 0, SQUARE) as x:
        square = [code.load(rooms.turned + i * a.line + x, SQUARE) for i in range(SQUARE)]
        first = code.settled(out + x * WIDTH)
        for i, vector in enumerate(code.transposed(square)):
            code.store(vector, first + i * WIDTH)


def split(
    code: Code,
    rooms: Rooms,
    block: Block,
    to: Pointer,
    worst: Variable,
    bias: Pointer | None,
    adds: Condition,
) -> None:
    """Write the pieces of [output p][32] in pairs, and add all p to the sums of the bias.

    Args:
        code: The function being written.
        rooms: Where it comes from.
        block: What is brought.
        to: The panel of this tile.
        worst: Gathers the largest magnitudes.
        bias: The sums of the bias, or None.
        adds: This task adds to them.
    """
    totals = [code.variable(code.fill(0, SQUARE)) for _ in range(2)]
    with code.loop(block.steps) as step:
        own = [code.variable(code.fill(0, SQUARE)) for _ in range(2)]
        with code.loop(STEP // 2) as pair:
            for half, sums in enumerate(own):
                at = rooms.staged + (step * STEP + pair * 2) * WIDTH + half * SQUARE
                rows = [code.load(at, SQUARE), code.load(at + WIDTH, SQUARE)]
                for row in rows:
                    worst.set(code.largest(worst.get(), row))
                if bias is not None:
                    sums.set(sums.get() + (rows[0] + rows[1]))
                out = to + step * (rooms.pieces * 2 * HALF) + half * HALF + pair * (2 * SQUARE)
                split = (shorts.pieces(code, row, rooms.pieces) for row in rows)
                for number, (one, other) in enumerate(zip(*split, strict=True)):
                    shorts.store_pairs(code, one, other, out + number * (2 * HALF))
        for total, some in zip(totals, own, strict=True):
            total.set(total.get() + some.get())
    if bias is not None:
        with code.when(adds):
            for half, total in enumerate(totals):
                at = bias + half * SQUARE
                code.store(code.load(at, SQUARE) + total.get(), at)
