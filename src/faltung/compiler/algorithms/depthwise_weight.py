"""The weight gradient of depthwise convolution.

dw[k, r, s] sums dy[k, y, x] * x[c, y * stride + r * dilation - top, ...] over images, rows and
columns. A thread brings both tensors of a channel (or of some vectors of channels) into panels,
block after block of rows, and sums a tile of taps, of some outputs of the channel, in registers
over each block; rows of dy that fill a vector are read where they lie, their last vector beginning
early enough to end with the row. The sums of blocks are added up in memory, which keeps their
rounding small. Where there are few channels, the blocks fall into chunks, whose sums are added in a
second pass. Blocks and chunks follow from the problem, so that the result does not depend on the
team.
"""

from typing import Any

from faltung.compiler.algorithms import (
    depthwise_channels,
    depthwise_rows,
    depthwise_weight_direct,
    panel,
)
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.algorithms.depthwise_form import WeightForm
from faltung.compiler.algorithms.depthwise_rows import Source
from faltung.compiler.algorithms.depthwise_weight_tiles import deliver, fold, spans, sums
from faltung.compiler.emit import Code, Int, Program
from faltung.compiler.target import Target

MASK = 16  # elements of room for the mask of a row's last vector
NUMBERS = (
    "images", "units", "vectors", "channels", "blocks", "chunks",
    "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column",
    "slope_image", "slope_channel", "slope_row", "slope_column",
    "weight_channel", "weight_row", "weight_column",
    "top", "left", "panel_width", "segment", "plane", "slope_pitch", "slope_plane", "span",
    "private", "shared",
)  # fmt: skip


class Spec(WeightForm):
    """The kernel; everything else that it must know is a number of `NUMBERS`."""

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        return emit(self, target)


def emit(spec: Spec, target: Target) -> Program:
    """Write the kernel."""
    program = Program(target)
    size = spec.set_of_sums(target.lanes)
    with program.region("depthwise_weight") as code:
        a = _arguments(code, spec)
        panel.zeros(code, a.sums, a.private)
        if spec.layout == "rows":
            some = a.columns % code.lanes
            first = code.lanes - some if spec.given else 0
            with code.loop(some) as i:
                code.store(code.fill(1, 1), a.mask + first + i)
        first, last = code.share(a.units * a.chunks)
        with code.loop(last, first) as task:
            unit, chunk = task % a.units, task // a.units
            panel.zeros(code, a.sums, a.sets * size)
            total = a.images * a.blocks
            begin, end = total * chunk // a.chunks, total * (chunk + 1) // a.chunks
            with code.loop(end, begin) as number:
                _block(code, spec, a, unit, number // a.blocks, number % a.blocks)
            if spec.layout == "rows":
                fold(code, spec, a)
            if spec.chunked:
                part = a.parts + task * a.sets * size
                depthwise_rows.line(code, a.sums, part, a.sets * size)
            else:
                with code.loop(a.sets) as number:
                    deliver(code, spec, a, a.sums + number * size, unit * a.sets + number)
    if spec.chunked:
        with program.region("depthwise_chunks") as code:
            a = _arguments(code, spec)
            first, last = code.share(a.units * a.sets)
            with code.loop(last, first) as number:
                panel.zeros(code, a.sums, size)
                with code.loop(a.chunks) as chunk:
                    task = chunk * a.units + number // a.sets
                    part = a.parts + (task * a.sets + number % a.sets) * size
                    with code.loop(size, 0, code.lanes) as i:
                        code.store(code.load(a.sums + i) + code.load(part + i), a.sums + i)
                deliver(code, spec, a, a.sums, number)
    return program


def _arguments(code: Code, spec: Spec) -> Any:
    """Read the argument block."""
    a = read_arguments(code, spec.kind, ("source", "slope", "bias", "target"), NUMBERS)
    a.parts = a.workspace
    a.sums = a.parts + a.shared + code.thread * a.private
    a.sets = a.vectors * spec.multiplier
    a.mask = a.sums + a.sets * spec.set_of_sums(code.lanes)
    a.room = a.mask + MASK
    a.slopes = a.room + a.plane * a.vectors
    a.slope_line = a.slope_row if spec.given else a.slope_pitch
    rests = spec.step[1] if spec.layout == "rows" else 1
    a.pitch = a.segment * rests
    a.form = Source(
        (a.height, a.width), a.source_row, a.source_column, spec.near[0],
        a.left, a.panel_width, a.pitch, a.segment, rests,
    )  # fmt: skip
    a.slope_form = Source(
        (a.lines, a.columns), a.slope_row, a.slope_column, spec.near[1],
        0, a.columns, a.slope_pitch, a.slope_pitch, 1,
    )  # fmt: skip
    return a


def _block(code: Code, spec: Spec, a: Any, unit: Int, image: Int, block: Int) -> None:
    """Add a block of rows of one image to the sums of a unit."""
    if spec.direct:
        depthwise_weight_direct.block(code, spec, a, image, block)
        return
    start, stop = a.lines * block // a.blocks, a.lines * (block + 1) // a.blocks
    first = start * spec.step[0] - a.top
    rows = (stop - start - 1) * spec.step[0] + (spec.window[0] - 1) * spec.dilation[0] + 1
    source, slope = a.source + image * a.source_image, a.slope + image * a.slope_image
    if spec.layout == "rows":
        base = source + unit * a.source_channel
        depthwise_rows.bring(code, a.form, base, first, rows, a.room)
        for begin, count, number in spans(spec.multiplier, spec.tile[2]):
            with code.loop(number) as i:
                q = begin + i * count
                lying = slope + (unit * spec.multiplier + q) * a.slope_channel
                if spec.given:
                    here = lying + start * a.slope_row
                    slopes = [here + k * a.slope_channel for k in range(count)]
                else:
                    slopes = [a.slopes + k * a.slope_plane for k in range(count)]
                    with code.loop(count) as k:
                        base, room = lying + k * a.slope_channel, a.slopes + k * a.slope_plane
                        depthwise_rows.bring(code, a.slope_form, base, start, stop - start, room)
                sums(code, spec, a, stop - start, q, (a.room, slopes))
        return
    channel = unit * a.vectors * code.lanes
    left = a.channels - channel
    for form, base, begin, count, room, plane in (
        (a.form, source, first, rows, a.room, a.plane),
        (a.slope_form, slope, start, stop - start, a.slopes, a.slope_plane),
    ):
        depthwise_channels.bring(
            code, form, base + channel, begin, count, room, (a.vectors, plane), left
        )
    with code.loop(code.smaller((left + (code.lanes - 1)) // code.lanes, a.vectors)) as v:
        planes = a.room + v * a.plane, [a.slopes + v * a.slope_plane]
        sums(code, spec, a, stop - start, v, planes)
