"""A sheet that is measured in cells and grows with what is drawn on it.

x goes to the right and y downward, as columns and rows do. Whatever is drawn moves the edges of the
sheet outward, and the figure takes its size from them: nothing can be cut off.
"""

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch, Rectangle
from matplotlib.patheffects import withStroke

from faltung.pictures import style
from faltung.pictures.style import Look

Across = Literal["left", "center", "right"]
Down = Literal["top", "center", "bottom"]

MARGIN = 0.4  # cells
LINE_HEIGHT = 1.45  # of the size of the text
DASHES = (0, (3, 2))


class Canvas:
    """One figure on which cells, frames, arrows and lines of text are placed."""

    def __init__(self) -> None:
        self.figure = Figure(facecolor=style.PAPER)
        self.axes: Axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set_axis_off()
        self.axes.set_aspect("equal")
        self.left = self.top = float("inf")
        self.right = self.bottom = float("-inf")

    def reach(self, left: float, top: float, right: float, bottom: float) -> None:
        """Make sure that this much lies on the sheet."""
        self.left, self.top = min(self.left, left), min(self.top, top)
        self.right, self.bottom = max(self.right, right), max(self.bottom, bottom)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = style.NORMAL,
        ink: str = style.INK,
        *,
        bold: bool = False,
        across: Across = "center",
        down: Down = "center",
    ) -> None:
        """Write one line."""
        wide, high = style.width(text, size, bold), size * LINE_HEIGHT / style.POINTS
        x0 = x - {"left": 0.0, "center": 0.5, "right": 1.0}[across] * wide
        y0 = y - {"top": 0.0, "center": 0.5, "bottom": 1.0}[down] * high
        self.reach(x0, y0, x0 + wide, y0 + high)
        self.axes.text(
            x,
            y0 + high / 2,
            text,
            color=ink,
            fontproperties=style.font(size, bold),
            ha=across,
            va="center_baseline",
            parse_math=False,
            zorder=6,
        )

    def lines(
        self,
        x: float,
        y: float,
        texts: Sequence[str],
        size: float = style.NORMAL,
        ink: str = style.INK,
        *,
        bold: bool = False,
        across: Across = "center",
    ) -> float:
        """Write lines below each other from y downward; return where they end."""
        for text in texts:
            self.text(x, y, text, size, ink, bold=bold, across=across, down="top")
            y += size * LINE_HEIGHT / style.POINTS
        return y

    def grid(
        self,
        x: float,
        y: float,
        texts: Sequence[Sequence[str]],
        looks: Sequence[Sequence[Look]],
        *,
        side: float = 1.0,
        name: str = "",
    ) -> None:
        """Draw a grid of cells with text.

        Args:
            x: Its left edge.
            y: Its top edge.
            texts: The text of every cell, by rows.
            looks: Their looks.
            side: Side of a cell.
            name: Cells are called `name-row-column` in SVG, where a name is given.
        """
        bold = any(look.bold for row in looks for look in row)
        size = style.fitting([text for row in texts for text in row], 0.84 * side, bold=bold)
        corners = [look.corner for row in looks for look in row]
        corner_size = style.fitting(corners, 0.8 * side, style.TINY)
        for i, (row, row_looks) in enumerate(zip(texts, looks, strict=True)):
            for j, (text, look) in enumerate(zip(row, row_looks, strict=True)):
                at = (x + j * side, y + i * side)
                self.cell(at, side, look, f"{name}-{i}-{j}" if name else "")
                if text:
                    middle = (at[0] + side / 2, at[1] + side * (0.42 if look.corner else 0.5))
                    self.text(*middle, text, size, look.ink, bold=look.bold)
                if look.corner:
                    corner = (at[0] + 0.93 * side, at[1] + 0.8 * side)
                    self.text(*corner, look.corner, corner_size, style.ORANGE, across="right")

    def cell(self, at: tuple[float, float], side: float, look: Look, name: str = "") -> None:
        """Draw one empty cell."""
        patch = Rectangle(
            at,
            side,
            side,
            facecolor=look.face,
            edgecolor=style.LINE,
            linewidth=0.8,
            linestyle=DASHES if look.dashed else "solid",
            zorder=1 if look.dashed else 2,
        )
        self.patch(patch, (*at, at[0] + side, at[1] + side), name)

    def colours(
        self,
        at: tuple[float, float],
        side: float,
        faces: Sequence[Sequence[str]],
        edge: str = style.PAPER,
        thick: float = 0.4,
    ) -> None:
        """Draw many cells without text, as one shape that stays sharp; rows of colours."""
        places = [(i, j) for i, row in enumerate(faces) for j in range(len(row))]
        patches = [Rectangle((at[0] + j * side, at[1] + i * side), side, side) for i, j in places]
        self.axes.add_collection(
            PatchCollection(
                patches,
                facecolors=[face for row in faces for face in row],
                edgecolors=edge,
                linewidths=thick,
            ),
            autolim=False,
        )
        self.reach(*at, at[0] + len(faces[0]) * side, at[1] + len(faces) * side)

    def picture(
        self, at: tuple[float, float], size: tuple[float, float], pixels: Any, **options: Any
    ) -> None:
        """Draw an array of pixels, `size` (width, height) cells large, with matplotlib's options.

        In SVG and PDF every pixel stays a sharp square.
        """
        right, bottom = at[0] + size[0], at[1] + size[1]
        extent = (at[0], right, bottom, at[1])
        self.axes.imshow(pixels, extent=extent, **{"interpolation": "none", **options})
        self.reach(*at, right, bottom)

    def frame(
        self,
        box: tuple[float, float, float, float],
        colour: str,
        *,
        dashed: bool = False,
        halo: bool = False,
    ) -> None:
        """Draw a thick frame (left, top, right, bottom); a halo sets it off a photograph."""
        left, top, right, bottom = box
        patch = Rectangle(
            (left, top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=colour,
            linewidth=2.2,
            linestyle=DASHES if dashed else "solid",
            joinstyle="miter",
            zorder=5,
        )
        if halo:
            patch.set_path_effects([withStroke(linewidth=4.5, foreground=style.PAPER)])
        self.patch(patch, box)

    def box(self, box: tuple[float, float, float, float]) -> None:
        """Draw a thin line around what lies in a box (left, top, right, bottom)."""
        left, top, right, bottom = box
        patch = Rectangle((left, top), right - left, bottom - top, fill=False)
        patch.set(edgecolor=style.LINE, linewidth=0.6, zorder=4)
        self.patch(patch, box)

    def arrow(self, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        """Draw an arrow."""
        patch = FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=10,
            linewidth=1.4,
            color=colour,
            shrinkA=0,
            shrinkB=0,
            zorder=6,
        )
        xs, ys = (start[0], end[0]), (start[1], end[1])
        self.patch(patch, (min(xs), min(ys), max(xs), max(ys)))

    def line(self, xs: Sequence[float], ys: Sequence[float], **options: Any) -> None:
        """Draw a line through points, with matplotlib's options."""
        self.axes.plot(xs, ys, **{"color": style.INK, "linewidth": 1.0, **options})
        self.reach(min(xs), min(ys), max(xs), max(ys))

    def patch(self, patch: Patch, box: tuple[float, float, float, float], name: str = "") -> None:
        """Add any shape that lies within a box (left, top, right, bottom)."""
        if name:
            patch.set_gid(name)
        self.axes.add_artist(patch)  # `add_patch` would compute limits, which are known here
        self.reach(*box)

    def finished(self, description: str) -> Figure:
        """Cut the figure to what is on it and return it; its label is the description."""
        left, right = self.left - MARGIN, self.right + MARGIN
        top, bottom = self.top - MARGIN, self.bottom + MARGIN
        self.axes.set_xlim(left, right)
        self.axes.set_ylim(bottom, top)
        self.figure.set_size_inches((right - left) * style.CELL, (bottom - top) * style.CELL)
        self.figure.set_label(description)
        return self.figure
