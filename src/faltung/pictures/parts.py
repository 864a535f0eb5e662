"""Parts that several pictures have: a plane with its padding, its window, a labelled grid."""

from collections.abc import Callable, Collection, Mapping, Sequence

from torch import Tensor

from faltung.pictures import style
from faltung.pictures.arithmetic import shown
from faltung.pictures.canvas import Canvas
from faltung.pictures.planes import Sliding
from faltung.pictures.style import Look

Cell = tuple[int, int]

LABEL = 0.25  # cells between a grid and its label


def label(canvas: Canvas, x: float, y: float, columns: float, text: str) -> None:
    """Write what a grid of that width is called, above its upper edge y."""
    canvas.text(x + columns / 2, y - LABEL, text, style.SMALL, style.FAINT, down="bottom")


def numbers_grid(
    canvas: Canvas,
    at: tuple[float, float],
    plane: Tensor,
    look: Callable[[int, int], Look],
    name: str,
) -> None:
    """Draw a plane (rows, columns) of numbers."""
    texts = [[shown(value) for value in row] for row in plane.tolist()]
    looks = [[look(i, j) for j in range(plane.shape[1])] for i in range(plane.shape[0])]
    canvas.grid(*at, texts, looks, name=name)


def framed_plane(
    canvas: Canvas,
    at: tuple[float, float],
    plane: Tensor,
    sliding: Sliding,
    taps: Mapping[Cell, str] | Collection[Cell],
    *,
    filling: Callable[[int, int], str] = lambda i, j: "0",
    chosen: Cell | None = None,
    name: str = "input",
) -> None:
    """Draw a plane of numbers with its padding dashed and the cells of one window shaded.

    Args:
        canvas: Where to.
        at: Left and top edge, of the padding.
        plane: The numbers (rows, columns).
        sliding: The windows.
        taps: The cells the window reads, with the small text in their corner where it is a mapping.
        filling: What a cell of the padding holds.
        chosen: A cell whose number stands out.
        name: Name of the cells in SVG.
    """
    down, right = sliding.frame
    texts, looks = [], []
    for i in down:
        inside = [sliding.inside(i, j) for j in right]
        texts.append(
            [
                shown(float(plane[i, j])) if on else filling(i, j)
                for j, on in zip(right, inside, strict=True)
            ]
        )
        looks.append(
            [
                Look(
                    face=style.BLUE_TINT if (i, j) in taps else style.PAPER,
                    ink=style.INK if on else style.FAINT,
                    bold=(i, j) == chosen,
                    dashed=not on,
                    corner=taps.get((i, j), "") if isinstance(taps, Mapping) else "",
                )
                for j, on in zip(right, inside, strict=True)
            ]
        )
    canvas.grid(*at, texts, looks, name=name)


def outputs_grid(
    canvas: Canvas,
    at: tuple[float, float],
    output: Tensor,
    place: Cell,
    name: str = "output",
    *,
    whole: bool = True,
) -> None:
    """Draw an output (rows, columns) with one cell shaded; not `whole` ends with that cell."""
    texts = [
        [shown(value) if whole or (i, j) <= place else "" for j, value in enumerate(row)]
        for i, row in enumerate(output.tolist())
    ]
    looks = [
        [Look(style.GREEN_TINT, bold=True) if (i, j) == place else Look() for j in range(len(row))]
        for i, row in enumerate(texts)
    ]
    canvas.grid(*at, texts, looks, name=name)
    size = f" {size_of(output.shape)}" if name == "output" else ""
    label(canvas, *at, output.shape[1], name.replace("-", " ") + size)


def size_of(shape: Sequence[int]) -> str:
    """Return a size as pictures show it: 3×3."""
    return "×".join(map(str, shape))


def caption(canvas: Canvas, arithmetic: Sequence[str], words: Sequence[str]) -> None:
    """Write the arithmetic of a step and, smaller, the settings, centred below what is drawn."""
    centre = (canvas.left + canvas.right) / 2
    below = canvas.lines(centre, canvas.bottom + 0.6, arithmetic, style.LARGE, bold=True)
    canvas.lines(centre, below + 0.15, [", ".join(words)], style.SMALL, style.FAINT)


def window_box(
    sliding: Sliding, row: int, column: int, at: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of one window over a plane drawn at `at`."""
    down, right = sliding.frame
    top = at[1] + sliding.rows.start(row) - down.start
    left = at[0] + sliding.columns.start(column) - right.start
    return left, top, left + sliding.columns.extent, top + sliding.rows.extent
