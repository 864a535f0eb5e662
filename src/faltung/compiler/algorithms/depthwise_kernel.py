"""The kernel of depthwise convolution and of its input gradient.

A thread brings a channel (or a few vectors of channels) of a block of rows of one image into a
panel, padding included, and sums every output of the block from there. Planes with short rows are
turned to vectors over channels first, and their outputs back. The input gradient of a strided
convolution falls into phases: rows and columns of the input that the same taps reach.
"""

from typing import Any

from faltung.compiler.algorithms import depthwise_channels, depthwise_rows, depthwise_tiles, panel
from faltung.compiler.algorithms.argument_block import read_arguments
from faltung.compiler.algorithms.depthwise_form import Form
from faltung.compiler.algorithms.depthwise_rows import Source
from faltung.compiler.emit import Code, Int, Program
from faltung.compiler.target import Target

NUMBERS = (
    "images", "group", "units", "vectors", "channels", "blocks",
    "height", "width", "lines", "columns",
    "source_image", "source_channel", "source_row", "source_column",
    "target_image", "target_channel", "target_row", "target_column",
    "weight_channel", "weight_row", "weight_column",
    "top", "left", "panel_width", "segment", "plane", "packed", "private",
)  # fmt: skip


class Spec(Form):
    """The kernel; everything else that it must know is a number of `NUMBERS`."""

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        return emit(self, target)


def emit(spec: Spec, target: Target) -> Program:
    """Write the kernel."""
    program = Program(target)
    with program.region("depthwise") as code:
        a = _arguments(code, spec)
        panel.zeros(code, a.filters, a.cleared)
        count = a.group * a.blocks
        first, last = code.share(a.images * a.units * a.blocks)
        with code.loop((last + (count - 1)) // count, first // count) as number:
            unit, image = number % a.units, number // a.units * a.group
            _pack(code, spec, a, unit)
            begin = code.larger(first - number * count, 0)
            with code.loop(code.smaller(last - number * count, count), begin) as task:
                _task(code, spec, a, unit, image + task // a.blocks, task % a.blocks)
    return program


def _arguments(code: Code, spec: Spec) -> Any:
    """Read the argument block."""
    a = read_arguments(code, spec.kind, ("source", "weight", "bias", "target"), NUMBERS)
    a.lanes = code.lanes
    a.filters = a.workspace + code.thread * a.private
    a.stage = a.filters + a.packed
    a.room = a.stage + spec.stage(code.lanes)
    a.cleared = a.private
    if spec.turned:
        a.cleared = a.packed + a.plane + spec.stage(code.lanes)
        a.inner = a.filters + a.cleared
        a.outer = a.inner + a.height * a.width * code.lanes
    rests = spec.step[1] if spec.layout == "rows" else 1
    a.pitch = a.segment * rests
    a.form = Source(
        (a.height, a.width), a.source_row, a.source_column, spec.near[0],
        a.left, a.panel_width, a.pitch, a.segment, rests,
    )  # fmt: skip
    return a


def _pack(code: Code, spec: Spec, a: Any, unit: Int) -> None:
    """Bring the weights and biases of a unit together, each set followed by its bias."""
    taps = spec.window[0] * spec.window[1]
    if spec.layout == "rows":
        with code.loop(max(spec.fan)) as q:
            to, k = a.filters + q * (taps + 1), unit * max(spec.fan) + q
            base = a.weight + k * a.weight_channel
            depthwise_rows.pack(code, base, (a.weight_row, a.weight_column), spec.window, to)
            if spec.bias and spec.fan[0] == 1:
                code.store(code.load(a.bias + k, 1), to + taps)
        if spec.bias and spec.fan[0] > 1:
            code.store(code.load(a.bias + unit, 1), a.filters + taps)
        return
    strides = a.weight_channel, a.weight_row, a.weight_column
    with code.loop(a.vectors) as v:
        first = (unit * a.vectors + v) * code.lanes
        count = code.smaller(a.channels - first, code.lanes)
        to = a.filters + v * ((taps + 1) * code.lanes)
        base = a.weight + first * a.weight_channel
        depthwise_channels.pack(code, base, strides, spec.window, to, count)
        if spec.bias:
            steps = (1, 1)
            depthwise_rows.scattered(code, a.bias + first, to + taps * code.lanes, count, steps)


def _task(code: Code, spec: Spec, a: Any, unit: Int, image: Int, block: Int) -> None:
    """Compute a block of rows of one image: of one channel, or of some vectors of channels."""
    phases = len(spec.rows)
    lines = (a.lines + (phases - 1)) // phases
    start, stop = lines * block // a.blocks, lines * (block + 1) // a.blocks
    reach = max(axis.reach for axis in spec.rows)
    first, rows = start * spec.step[0] - a.top, (stop - start - 1) * spec.step[0] + reach
    base = a.source + image * a.source_image
    target = a.target + image * a.target_image
    if spec.layout == "rows":
        with code.loop(spec.fan[0]) as p:
            plane = base + (unit * spec.fan[0] + p) * a.source_channel
            depthwise_rows.bring(code, a.form, plane, first, rows, a.room + p * a.plane)
        with code.loop(spec.fan[1]) as q:
            to = target + (unit * spec.fan[1] + q) * a.target_channel
            depthwise_tiles.rows(code, spec, a, q, to, (start, stop))
        return
    channel = unit * a.vectors * code.lanes
    left = a.channels - channel
    inner, outer = base + channel, target + channel
    if spec.turned:
        inner, outer, lanes = a.inner, a.outer, code.constant(code.lanes)
        base, target = base + channel * a.source_channel, target + channel * a.target_channel
        panel.turn(code, base, a.source_channel, (lanes, a.height * a.width), inner, lanes)
    if not spec.direct:
        planes = a.vectors, a.plane
        depthwise_channels.bring(code, a.form, inner, first, rows, a.room, planes, left)
    depthwise_tiles.channels(code, spec, a, inner, outer, (start, stop), left)
    if spec.turned:
        panel.turn(code, outer, lanes, (a.lines * a.columns, lanes), target, a.target_channel)
