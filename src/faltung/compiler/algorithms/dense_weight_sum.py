"""Sums of products of the input and the gradient, for the gradient of dense weights."""

from dataclasses import dataclass
from typing import Any, Protocol

from faltung.compiler.algorithms import tile
from faltung.compiler.emit import Code, Condition, Index, Int, Pointer

CHAIN = 256  # pixels of a block at most: its products are one chain of sums, which rounds as often
SHORT = 32  # pixels that are one chain in a bias' gradient, where torch has several


class Shape(Protocol):
    """What of a kernel's specification the sums depend on; see `dense_weight.Spec`."""

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and vectors of the register tile."""

    @property
    def woven(self) -> int:
        """Channels of the small groups that share a vector, or 0."""

    @property
    def strips(self) -> bool:
        """The input comes in strips, as wide as the register tile is high."""

    @property
    def uneven(self) -> bool:
        """Some tiles have a row less."""


@dataclass(frozen=True)
class Block:
    """What is summed before the sums go to memory.

    Attributes:
        image: The first image.
        images: Number of images; where it is more than one, all their rows.
        line: The first row of outputs.
        lines: Rows of outputs of each image.
        column: The first column of outputs.
        columns: Columns of outputs.
        first: It is the first of its part: nothing is in memory yet.
        last: It is the last of its part.
    """

    image: Int
    images: Int
    line: Int
    lines: Int
    column: Int
    columns: Int
    first: Condition
    last: Condition


def add_products(
    code: Code, spec: Shape, a: Any, x: Pointer, dy: Pointer, sums: Pointer, block: Block
) -> None:
    """Add the products of one block and one tile of outputs."""
    height, vectors = spec.tile
    width = vectors * code.lanes
    with code.loop(a.window_rows) as r, code.loop(a.segments) as s:
        origin = x + (r * a.tap_row * a.panel_width + s * a.tap_column) * a.pitch
        row = sums + (r * a.segments + s) * a.places * width
        with code.loop(a.tall) as q:
            start = origin + q * a.apart
            if spec.woven:
                start = origin + q * (height // spec.woven) * a.tap_column * a.pitch
            _add_tile(code, spec, a, height, start, dy, row + q * (height * width), block)
        if spec.uneven:
            with code.loop(a.strips, a.tall) as q:
                place = a.tall + q * (height - 1)
                start = origin + (q * a.apart if spec.strips else place)
                _add_tile(code, spec, a, height - 1, start, dy, row + place * width, block)


def _add_tile(
    code: Code,
    spec: Shape,
    a: Any,
    rows: int,
    x: Pointer,
    dy: Pointer,
    sums: Pointer,
    block: Block,
) -> None:
    """Add the products of a register tile of so many rows."""
    vectors = spec.tile[1]
    step = a.stride_column * a.pitch
    held = tile.sums(code, rows, vectors)
    with code.loop(block.images) as image, code.loop(block.lines) as line:
        start = x + image * a.panel_image + line * a.stride_row * a.panel_width * a.pitch
        gradient = dy + (image * block.lines + line) * block.columns * (vectors * code.lanes)
        if spec.woven:
            _pixels_woven(code, spec, held, start, gradient, a, block.columns, step)
        else:
            _pixels(code, held, start, gradient, block.columns, step)
    _put(code, held, sums, block.first)


def _put(code: Code, held: list[list[Any]], to: Pointer, first: Condition) -> None:
    """Write sums, or add them to what is there."""
    slots = [slot for row in held for slot in row]
    with code.either(first) as (new, more):
        with new:
            for i, slot in enumerate(slots):
                code.store(slot.get(), to + i * code.lanes)
        with more:
            for i, slot in enumerate(slots):
                at = to + i * code.lanes
                code.store(code.load(at) + slot.get(), at)


def _pixels_woven(
    code: Code,
    spec: Shape,
    held: list[list[Any]],
    x: Pointer,
    dy: Pointer,
    a: Any,
    columns: Int,
    step: Int,
) -> None:
    """Add the products of a line of pixels where small groups share a vector."""
    lanes = range(code.lanes)
    places = [[lane // spec.woven * spec.woven + c for lane in lanes] for c in range(spec.woven)]
    with code.loop(columns) as t:
        gradient = code.load(dy + t * code.lanes)
        for first in range(0, len(held), spec.woven):
            at = x + t * step + a.tap_column * (first // spec.woven) * a.pitch
            channels = code.load(at)
            for (slot,), place in zip(held[first:], places, strict=False):
                slot.set(code.fma(code.shuffle(channels, channels, place), gradient, slot.get()))


def add_bias(code: Code, spec: Shape, a: Any, dy: Pointer, sums: Pointer, block: Block) -> None:
    """Add the gradient itself: the products with an input of ones."""
    width = spec.tile[1] * code.lanes
    held = tile.sums(code, 1, spec.tile[1])[0]
    pixels = block.images * block.lines * block.columns
    with code.loop(pixels, 0, SHORT) as first:
        own = tile.sums(code, 1, spec.tile[1])[0]
        with code.loop(code.smaller(pixels, first + SHORT), first) as pixel:
            for j, slot in enumerate(own):
                slot.set(slot.get() + code.load(dy + pixel * width + j * code.lanes))
        for slot, added in zip(held, own, strict=True):
            slot.set(slot.get() + added.get())
    _put(code, [held], sums, block.first)


def _pixels(
    code: Code, held: list[list[Any]], x: Pointer, dy: Pointer, columns: Int, step: Index
) -> None:
    """Add the products of a line of pixels."""
    width = len(held[0]) * code.lanes
    with code.loop(columns) as t:
        loaded = [code.load(dy + t * width + j * code.lanes) for j in range(len(held[0]))]
        for i, row in enumerate(held):
            element = code.broadcast(x + t * step + i)
            for slot, vector in zip(row, loaded, strict=True):
                slot.set(code.fma(element, vector, slot.get()))
