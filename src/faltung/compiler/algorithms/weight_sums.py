"""From sums to the gradient of dense weights: parts added, and the layout of the tensor.

Sums lie as [part][group][tile][slice][row of taps][place][output], the bias' own behind the slices.
A place is (column of taps, channel of the slice). The tensor is written in runs that lie side by
side, eight outputs at a time.
"""

from typing import Any

from faltung.compiler.emit import Code, Index, Int, Pointer, Vector


def tabulate(code: Code, a: Any, width: int, table: Pointer) -> None:
    """Note for each element of a run where in the sums of a slice it is."""
    with (
        code.loop(a.window_rows // a.run_rows) as r,
        code.loop(a.window_columns // a.run_columns) as s,
        code.loop(a.slice // a.run_channels) as c,
    ):
        at = r * a.dw_row + s * a.dw_column + c * a.dw_channel - a.run_first
        code.store_int((r * a.place_row + s * a.place_column + c) * width, table + at)


def gather(code: Code, a: Any, width: int, task: Int, table: Pointer) -> None:
    """Write the weights of one slice of one tile of outputs."""
    number, rest = task % a.slices, task // a.slices
    tile, group = rest % a.tiles, rest // a.tiles
    sums = a.workspace + (group * a.tiles + tile) * a.sums + number * a.slice_sums
    offset = group * a.outputs * a.dw_output + number * a.slice * a.dw_channel
    write(code, a, width, sums, tile, table, offset)


def write(
    code: Code, a: Any, width: int, sums: Pointer, tile: Int, table: Pointer, offset: Index = 0
) -> None:
    """Write the weights of a tile of outputs from its sums."""
    to = a.dw + a.dw_offset + offset + tile * width * a.dw_output
    count = code.smaller(a.outputs - tile * width, width)
    with (
        code.loop(a.run_rows) as r,
        code.loop(a.run_columns) as s,
        code.loop(a.run_channels) as c,
    ):
        at = sums + (r * a.place_row + s * a.place_column + c) * width
        out = to + r * a.dw_row + s * a.dw_column + c * a.dw_channel + a.run_first
        with code.either(a.run_length >= code.lanes) as (squares, single):
            with squares, code.loop(width, 0, code.lanes) as k:
                _turn(code, a, at + k, out + k * a.dw_output, count - k, table)
            with single, code.loop(a.run_length) as i, code.loop(count) as k:
                # A run of fewer elements than a vector is a single one: plans see to it.
                (total,) = _totals(code, a, [at + i * width + k], 1)
                code.store(total, out + k * a.dw_output)


def _turn(code: Code, a: Any, sums: Pointer, out: Pointer, count: Int, table: Pointer) -> None:
    """Write [element][output] as [output][element] in squares; the last square overlaps."""
    lanes = code.lanes
    with code.loop((a.run_length + (lanes - 1)) // lanes) as step:
        first = code.smaller(step * lanes, a.run_length - lanes)
        places = [sums + code.load_int(table + first + i) for i in range(lanes)]
        square = _totals(code, a, places, lanes)
        for k, vector in enumerate(code.transposed(square)):
            with code.when(count > k):
                code.store(vector, out + k * a.dw_output + first)


def _totals(code: Code, a: Any, places: list[Pointer], lanes: int) -> list[Vector]:
    """Return the sums of all parts at some places, in their order."""
    held = [code.variable(code.load(at, lanes)) for at in places]
    apart: Index = a.groups * a.tiles * a.sums
    with code.loop(a.parts, 1) as part:
        for total, at in zip(held, places, strict=True):
            total.set(total.get() + code.load(at + part * apart, lanes))
    return [total.get() for total in held]


def gather_bias(code: Code, a: Any, width: int, number: Int) -> None:
    """Write the gradient of the bias of one tile of outputs."""
    at = a.workspace + number * a.sums + a.slices * a.slice_sums
    write_bias(code, a, width, at, number // a.tiles, number % a.tiles)


def write_bias(code: Code, a: Any, width: int, sums: Pointer, group: Int, tile: Int) -> None:
    """Write the gradient of the bias of one tile of outputs from its sums."""
    to = a.db + group * a.outputs + tile * width
    with code.loop(code.smaller(a.outputs - tile * width, width)) as k:
        (total,) = _totals(code, a, [sums + k], 1)
        code.store(total, to + k)
