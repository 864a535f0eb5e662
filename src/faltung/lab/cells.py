"""One cell under the pointer: the products an output sums, the outputs an input reaches."""

from dataclasses import dataclass

from faltung.errors import ArgumentError
from faltung.lab.fields import Asked, Place
from faltung.lab.window import Convolution, WindowAsked, convolve
from faltung.pictures.arithmetic import equals, factor, products


class CellAsked(Asked):
    """A cell of a convolution: of its feature maps, or of its image.

    Attributes:
        problem: The convolution.
        channel: Channel of the cell.
        row: Its row.
        column: Its column.
    """

    problem: WindowAsked
    channel: Place
    row: Place
    column: Place


@dataclass(frozen=True)
class Term:
    """One product of a sum.

    Attributes:
        channel: Channel of the input.
        row: Row of the padded input.
        column: Column of the padded input.
        tap: Row and column of the kernel as it is written, before any turning.
        x: The number of the input.
        w: The number of the kernel.
        product: Both multiplied.
    """

    channel: int
    row: int
    column: int
    tap: tuple[int, int]
    x: float
    w: float
    product: float


@dataclass(frozen=True)
class OutputCell:
    """How an output comes about.

    Attributes:
        value: What the convolution gives there.
        start: Row and column of the padded input where the window lies.
        terms: The products that are summed, channel by channel, row by row.
        text: The sum in a line, as it is written by hand.
    """

    value: float
    start: tuple[int, int]
    terms: list[Term]
    text: str


@dataclass(frozen=True)
class Touch:
    """An output that an input reaches, through one number of a kernel."""

    channel: int
    row: int
    column: int
    tap: tuple[int, int]
    w: float


@dataclass(frozen=True)
class InputCell:
    """Where an input goes.

    Attributes:
        value: The number of the input.
        touches: The outputs that it reaches.
        gradient: Gradient of the sum of all outputs with respect to it.
        text: The sum of the kernel's numbers that makes the gradient.
    """

    value: float
    touches: list[Touch]
    gradient: float
    text: str


def output_cell(asked: CellAsked) -> OutputCell:
    """Return how an output comes about.

    Raises:
        FaltungError: As `convolve`; or there is no such cell.
    """
    done = convolve(asked.problem)
    _inside("output", asked, done.y.shape)
    terms = _terms(done, asked.channel, asked.row, asked.column)
    value = done.y[asked.channel, asked.row, asked.column].item()
    pairs = [(term.x, term.w) for term in terms]
    numbers = [number for both in pairs for number in both]
    text = f"{' + '.join(products(pairs))} {equals(value, *numbers)}"
    rows, columns = done.windows
    start = asked.row * rows.stride, asked.column * columns.stride
    return OutputCell(value, start, terms, text)


def input_cell(asked: CellAsked) -> InputCell:
    """Return where an input goes.

    Raises:
        FaltungError: As `convolve`; or there is no such cell.
    """
    done = convolve(asked.problem)
    _inside("input", asked, done.x.shape)
    touches = _touches(done, asked.channel, asked.row * done.x.shape[2] + asked.column)
    gradient = done.gradient()[asked.channel, asked.row, asked.column].item()
    value = done.x[asked.channel, asked.row, asked.column].item()
    weights = [touch.w for touch in touches]
    text = f"{' + '.join(map(factor, weights)) or '0'} {equals(gradient, *weights)}"
    return InputCell(value, touches, gradient, text)


def _inside(name: str, asked: CellAsked, shape: tuple[int, ...]) -> None:
    place = (asked.channel, asked.row, asked.column)
    if any(at >= size for at, size in zip(place, shape, strict=True)):
        raise ArgumentError(
            f"cell is {place}: the {name} has channels, rows and columns {tuple(shape)}; count "
            f"from 0"
        )


def _taps(done: Convolution) -> list[tuple[int, int, tuple[int, int]]]:
    """Return for each tap its row and column in the window, and the kernel's number it meets."""
    rows, columns = done.windows
    found = []
    for r in range(rows.size):
        for s in range(columns.size):
            tap = (rows.size - 1 - r, columns.size - 1 - s) if done.flip else (r, s)
            found.append((r * rows.dilation, s * columns.dilation, tap))
    return found


def _terms(done: Convolution, k: int, y: int, x: int) -> list[Term]:
    rows, columns = done.windows
    reads = done.w.shape[1]
    first = k // (done.w.shape[0] // done.groups) * reads
    terms = []
    for c in range(reads):
        for down, across, tap in _taps(done):
            row, column = y * rows.stride + down, x * columns.stride + across
            number, weight = done.big[first + c, row, column].item(), done.w[k, c][tap].item()
            terms.append(Term(first + c, row, column, tap, number, weight, number * weight))
    return terms


def _touches(done: Convolution, channel: int, place: int) -> list[Touch]:
    """Return the outputs whose windows read a place of the image, or padding that repeats it."""
    rows, columns = done.windows
    outputs, reads = done.w.shape[:2]
    group, c = divmod(channel, reads)
    each = outputs // done.groups
    where: list[tuple[int, int]] = [
        (row, column) for row, column in (done.source == place).nonzero().tolist()
    ]
    found = []
    for k in range(group * each, (group + 1) * each):
        for row, column in where:
            for down, across, tap in _taps(done):
                y, uneven = divmod(row - down, rows.stride)
                x, odd = divmod(column - across, columns.stride)
                if uneven or odd or not (0 <= y < done.y.shape[1] and 0 <= x < done.y.shape[2]):
                    continue
                found.append(Touch(k, y, x, tap, done.w[k, c][tap].item()))
    return sorted(found, key=lambda touch: (touch.channel, touch.row, touch.column))
