"""Input, padding, window, stride and output as grids, with the arithmetic of the sizes."""

from matplotlib.figure import Figure

from faltung.functional.arguments import Padding, Pair, pair
from faltung.geometry import Window
from faltung.pictures import style
from faltung.pictures.canvas import Canvas
from faltung.pictures.parts import caption, label, size_of, window_box
from faltung.pictures.planes import Sliding, readable, slide
from faltung.pictures.style import Look

MOST = 32  # rows and columns of a grid without numbers
GAP = 1.6  # cells between grids
ROOM = 0.95  # cells beside the input, for the arrows of the stride


def geometry(
    input_size: Pair,
    kernel_size: Pair,
    *,
    stride: Pair = 1,
    padding: Padding = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Figure:
    """Draw the sizes of a windowed operation: what it reads, how far it steps, what it makes.

    The first window is shaded, the next ones to the right and below are framed by dashes.

    Args:
        input_size: Height and width of the input: one number or (height, width).
        kernel_size: Size of the window.
        stride: Step of the window.
        padding: In any form listed in `faltung.functional`.
        dilation: Distance between neighbouring taps.
        ceil_mode: Let a last window hang over the end, as pools may.

    Returns:
        The figure; its label is the arithmetic of the sizes.

    Raises:
        ArgumentError: A setting breaks its own rule.
        ShapeError: The window is larger than the padded input, or a grid too large to be read.
    """
    lengths, size = pair("input_size", input_size), pair("kernel_size", kernel_size)
    sliding = slide(lengths, size, stride, padding, dilation, ceil=ceil_mode)
    down, right = sliding.frame
    readable("input with its padding", (len(down), len(right)), most=MOST)
    canvas = Canvas()
    outputs = sliding.outputs
    middle = max(len(down) + 2 * ROOM, outputs[0], size[0]) / 2
    at = (ROOM, middle - len(down) / 2)
    _input(canvas, sliding, at)
    x = ROOM + len(right) + GAP
    x = _blank(canvas, x, middle, size, Look(style.ORANGE_TINT), "kernel") + GAP
    canvas.arrow((x - GAP + 0.35, middle), (x - 0.35, middle), style.INK)
    _blank(canvas, x, middle, outputs, Look(), "output")
    axes = (("rows", sliding.rows, lengths[0]), ("columns", sliding.columns, lengths[1]))
    lines = [f"{name}: {_formula(window, length)}" for name, window, length in axes]
    words = sliding.settings() or ["stride 1, no padding"]
    caption(canvas, lines, words)
    return canvas.finished("; ".join(lines))


def _input(canvas: Canvas, sliding: Sliding, at: tuple[float, float]) -> None:
    """Draw the input, its first window, and the windows one step to the right and below."""
    down, right = sliding.frame
    taps = {place for line in sliding.taps(0, 0) for place in line}
    looks = [
        [
            Look(
                style.BLUE_TINT if (i, j) in taps else style.PAPER,
                dashed=not sliding.inside(i, j),
            )
            for j in right
        ]
        for i in down
    ]
    canvas.grid(*at, [[""] * len(right)] * len(down), looks, name="input")
    size = size_of((sliding.height, sliding.width))
    canvas.text(
        at[0] + len(right) / 2, at[1] + len(down) + 0.2, f"input {size}", style.SMALL, style.FAINT,
        down="top",
    )  # fmt: skip
    first = window_box(sliding, 0, 0, at)
    rows, columns = sliding.outputs
    if columns > 1:
        beside = window_box(sliding, 0, 1, at)
        canvas.frame(beside, style.RED, dashed=True)
        y = at[1] - 0.35
        canvas.arrow((first[0], y), (beside[0], y), style.RED)
        canvas.text(beside[0] + 0.15, y, f"stride {sliding.columns.stride}", style.SMALL,
                    style.RED, across="left")  # fmt: skip
    if rows > 1:
        below = window_box(sliding, 1, 0, at)
        canvas.frame(below, style.RED, dashed=True)
        x = at[0] - 0.35
        canvas.arrow((x, first[1]), (x, below[1]), style.RED)
        canvas.text(x + 0.2, below[1] + 0.3, f"stride {sliding.rows.stride}", style.SMALL,
                    style.RED, across="right")  # fmt: skip
    canvas.frame(first, style.BLUE)


def _blank(
    canvas: Canvas, x: float, middle: float, size: tuple[int, int], look: Look, name: str
) -> float:
    """Draw a grid without numbers; return its right edge."""
    rows, columns = size
    words = f"{name} {size_of(size)}"
    wide = max(float(columns), style.width(words, style.SMALL))
    at = (x + (wide - columns) / 2, middle - rows / 2)
    looks = [[look] * columns for _ in range(rows)]
    if name == "output":
        looks[0][0] = Look(style.GREEN_TINT)
    canvas.grid(*at, [[""] * columns] * rows, looks, name=name)
    label(canvas, *at, columns, words)
    return x + wide


def _formula(window: Window, length: int) -> str:
    """Return the size of the output as it is computed: ⌊(5 + 1 + 1 − 3) / 2⌋ + 1 = 3."""
    room = " + ".join(map(str, [length, *(p for p in (window.before, window.after) if p)]))
    left, right = "⌈⌉" if window.ceil else "⌊⌋"
    text = f"{left}({room} − {window.extent}) / {window.stride}{right} + 1"
    count = window.output(length)
    total = length + window.before + window.after - window.extent
    if window.ceil and -(-total // window.stride) + 1 != count:
        text += " − 1"  # the last window would start in the padding
    return f"{text} = {count}"
