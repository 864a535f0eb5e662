"""From dense to locally connected to convolution: fewer connections, then shared weights."""

from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from faltung import nn
from faltung.functional.arguments import Padding, Pair, pair
from faltung.pictures import style
from faltung.pictures.canvas import Canvas
from faltung.pictures.parts import size_of

SMALL = (7, 3)  # inputs and taps of the drawn example
STEP, HIGH, RADIUS = 1.15, 2.9, 0.27  # cells between nodes, between the layers, of a node
APART = 2.0
SHARED = (("#0072b2", "solid"), ("#d55e00", (0, (4, 1.5))), ("#007a5a", (0, (1, 1.2))))
POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Counts:
    """Weights, biases left out, of three layers with the same input and output.

    Attributes:
        inputs: Elements of the input.
        outputs: Elements of the output.
        dense: Weights where every output reads every input.
        local: Weights where every output reads a window, with a kernel of its own.
        shared: Weights where all windows share one kernel: a convolution.
    """

    inputs: int
    outputs: int
    dense: int
    local: int
    shared: int


def weight_counts(
    image_size: Pair,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    in_channels: int = 1,
    out_channels: int = 1,
) -> Counts:
    """Count the weights of a dense, a locally connected and a convolutional layer, by making them.

    >>> counts = weight_counts(1000, (40, 25), stride=(40, 25))
    >>> counts.dense, counts.local, counts.shared
    (1000000000, 1000000, 1000)

    Args:
        image_size: Height and width of the image.
        kernel_size: Size of the window.
        stride: Step of the window.
        padding: In any form listed in `faltung.functional`.
        in_channels: Channels of the image.
        out_channels: Channels of the output.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
        ShapeError: The window is larger than the padded image.
    """
    lengths = pair("image_size", image_size)
    with torch.device("meta"):  # the layers have sizes, but no memory
        local = nn.LocallyConnected2d(
            in_channels, out_channels, lengths, kernel_size, stride, padding, bias=False
        )
        shared = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        y = shared(torch.empty(1, in_channels, *lengths))
        inputs, outputs = in_channels * lengths[0] * lengths[1], y.numel()
        dense = torch.nn.Linear(inputs, outputs, bias=False)
    weights = (layer.weight.numel() for layer in (dense, local, shared))
    return Counts(inputs, outputs, *weights)


def connections(
    image_size: Pair = 1000,
    kernel_size: Pair = (40, 25),
    *,
    stride: Pair | None = None,
    padding: Padding = 0,
    in_channels: int = 1,
    out_channels: int = 1,
) -> Figure:
    """Draw the way from a dense layer to a convolution, with the weights that each step takes.

    Seven inputs and five outputs show the connections; below stand the numbers for an image. The
    default is the seeds' example: a million pixels and a thousand units take 10⁹ weights; as
    windows of 40 x 25 pixels side by side, 10⁶; with one shared kernel, 10³.

    Args:
        image_size: Height and width of the image: one number or (height, width).
        kernel_size: Size of the window.
        stride: Step of the window; None means `kernel_size`.
        padding: In any form listed in `faltung.functional`.
        in_channels: Channels of the image.
        out_channels: Channels of the output.

    Returns:
        The figure; its label says the numbers of weights.

    Raises:
        ArgumentError: A number or the padding breaks its own rule.
        ShapeError: The window is larger than the padded image.
    """
    size = pair("kernel_size", kernel_size)
    step = size if stride is None else pair("stride", stride)
    counts = weight_counts(
        image_size, size, stride=step, padding=padding,
        in_channels=in_channels, out_channels=out_channels,
    )  # fmt: skip
    example = weight_counts((1, SMALL[0]), (1, SMALL[1]))
    canvas = Canvas()
    wide = SMALL[0] * STEP
    panels = (
        ("dense", "every output reads everything", example.dense, counts.dense),
        ("locally connected", "every output reads its window", example.local, counts.local),
        ("convolution", "all windows share one kernel", example.shared, counts.shared),
    )
    for number, (name, words, few, many) in enumerate(panels):
        left = number * (wide + APART)
        centre = left + wide / 2
        canvas.text(centre, -1.75, name, style.LARGE, bold=True)
        canvas.text(centre, -1.05, words, style.SMALL, style.FAINT)
        _network(canvas, left, name)
        canvas.text(centre, HIGH + 1.0, f"{_product(example, few)} weights", style.NORMAL)
        text = f"{_product(counts, many)} weights"
        canvas.text(centre, HIGH + 2.55, text, style.LARGE, bold=True)
        if number:
            canvas.arrow((left - APART + 0.3, HIGH / 2), (left - 0.6, HIGH / 2), style.INK)
    canvas.line((canvas.left, canvas.right), (HIGH + 1.75, HIGH + 1.75), color=style.LINE)
    sides = pair("image_size", image_size)
    deep = "" if in_channels == 1 else f" in {in_channels} channels"
    words = (
        f"image {size_of(sides)}{deep}: {short(counts.inputs)} inputs × {short(counts.outputs)} "
        f"outputs; windows of {size_of(size)}, stride {size_of(step)}"
    )
    canvas.text((canvas.left + canvas.right) / 2, HIGH + 3.55, words, style.SMALL, style.FAINT)
    named = (("dense", counts.dense), ("locally connected", counts.local))
    said = [f"{name} {short(count)}" for name, count in (*named, ("convolution", counts.shared))]
    return canvas.finished("weights: " + ", ".join(said))


def short(count: int) -> str:
    """Return a count as a power of ten where it is one from a thousand on, else with separators.

    >>> short(10**9), short(1234567), short(100)
    ('10⁹', '1,234,567', '100')
    """
    power = len(str(count)) - 1
    return f"10{str(power).translate(POWERS)}" if count == 10**power >= 1000 else f"{count:,}"


def _product(counts: Counts, weights: int) -> str:
    """Return a number of weights, as those of every output times the outputs if not shared."""
    if weights == counts.shared:
        return short(weights)
    own = weights // counts.outputs
    return f"{short(own)} × {short(counts.outputs)} = {short(weights)}"


def _network(canvas: Canvas, left: float, name: str) -> None:
    """Draw the connections of one kind of layer."""
    inputs, taps = SMALL
    outputs = inputs - taps + 1

    def at(place: float, layer: float) -> tuple[float, float]:
        return left + (place + 0.5) * STEP, layer * HIGH

    for output in range(outputs):
        end = at(output + (taps - 1) / 2, 1)
        for place in range(inputs) if name == "dense" else range(output, output + taps):
            start = at(place, 0)
            colour, dashes = SHARED[place - output] if name == "convolution" else ("#777777", "-")
            thick = 0.6 if name == "dense" else 1.6 if name == "convolution" else 1.0
            canvas.line((start[0], end[0]), (start[1], end[1]),
                        color=colour, linestyle=dashes, linewidth=thick, zorder=1)  # fmt: skip
    for layer, count, tint in ((0, inputs, style.BLUE_TINT), (1, outputs, style.GREEN_TINT)):
        for place in range(count):
            x, y = at(place + (taps - 1) / 2 * layer, layer)
            node = Circle((x, y), RADIUS, facecolor=tint, edgecolor=style.INK, linewidth=0.8)
            node.set_zorder(3)
            canvas.patch(node, (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS))
    if name == "dense":
        for layer, text in ((0, f"{inputs} inputs"), (1, f"{outputs} outputs")):
            canvas.text(left - 0.2, layer * HIGH, text, style.SMALL, style.FAINT, across="right")
