"""What the cells of a tensor see of the image, along its rows and along its columns."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faltung.analysis.endless import Endless, hull
from faltung.analysis.reads import Reads, everything
from faltung.geometry import ReceptiveField

MERGED = "rows or columns were merged with other axes"


@dataclass(frozen=True)
class Axis:
    """What the cells along one axis of a tensor see of one axis of the image.

    Attributes:
        dim: The tensor's dimension that holds them; None where none does: then every element may
            see all that `cells[0]` says.
        cells: For each cell the image positions from the first to the last that it depends on,
            borders and gaps of the windows respected; empty where it sees none.
        endless: The fields on an image without borders; None where they do not repeat.
        reason: Why they do not.
    """

    dim: int | None
    cells: tuple[range, ...]
    endless: Endless | None = None
    reason: str = ""

    @property
    def field(self) -> ReceptiveField | None:
        """Size, jump and start, where they are defined in whole pixels."""
        return None if self.endless is None else self.endless.field()

    @property
    def undefined(self) -> str:
        """Why there is no field, in words; empty where there is one."""
        if self.endless is not None and self.field is None:
            return f"neighbouring fields are {self.endless.rate} of a pixel apart"
        return self.reason

    def through(self, reads: Reads) -> "Axis":
        """Return what the cells of one more operation see."""
        if self.dim is None:
            return self
        cells = tuple(hull([self.cells[place] for place in taps]) for taps in reads.cells)
        if self.endless is None:
            return replace(self, cells=cells)
        if reads.endless is None:
            return replace(self, cells=cells, endless=None, reason=reads.reason)
        endless = self.endless.through(reads.endless)
        reason = "" if endless is not None else "some cells see nothing"
        return Axis(self.dim, cells, endless, reason)

    def merged(self) -> "Axis":
        """Return what an element sees that may see what any cell sees."""
        whole = self.through(everything(len(self.cells)))
        return replace(whole, dim=None)

    def joined(self, other: "Axis") -> "Axis":
        """Return what elements see that are computed from both, position by position."""
        one, two = self, other
        if one.dim is None or (two.dim is not None and len(one.cells) < len(two.cells)):
            one, two = two, one
        if two.dim is not None and two.dim != one.dim:
            one, two = one.merged(), two.merged()
        count = len(one.cells)
        lined = len(two.cells) == count and (two.dim is not None or one.dim is None)
        others = two.cells if lined else two.cells[:1] * count
        cells = tuple(hull(pair) for pair in zip(one.cells, others, strict=True))
        endless, reason = one._together(two, lined)
        return Axis(one.dim, cells, endless, reason)

    def _together(self, other: "Axis", lined: bool) -> tuple[Endless | None, str]:
        one, two = self.endless, other.endless
        if one is None or two is None:
            return None, self.reason if one is None else other.reason
        if not lined:
            return None, "joined with a part that every cell shares, such as a global pool"
        if len(self.cells) == 1:
            span = hull([one.span(0), two.span(0)])
            jump = max(one.phases[0].jump, two.phases[0].jump)
            return Endless((ReceptiveField(len(span), jump, span.start),)), ""
        together = one.joined(two)
        if together is not None:
            return together, ""
        return None, f"branches whose fields move by {one.rate} and {two.rate} pixels are joined"


@dataclass(frozen=True)
class Sight:
    """What the elements of a tensor see of the image.

    Attributes:
        rows: Along the height of the image.
        columns: Along its width.
    """

    rows: Axis
    columns: Axis

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Both, the height first."""
        return self.rows, self.columns

    def cell(self, row: int, column: int) -> tuple[range, range]:
        """Return the rows and columns of the image that one cell depends on; none or both."""
        rows, columns = self.rows.cells[row], self.columns.cells[column]
        return (rows, columns) if rows and columns else (range(0), range(0))

    def joined(self, other: "Sight") -> "Sight":
        """Return what elements see that are computed from both."""
        return Sight(self.rows.joined(other.rows), self.columns.joined(other.columns))

    def merged(self, reason: str = "") -> "Sight":
        """Return what an element sees that may see what any element sees."""
        rows, columns = (axis.merged() for axis in self.axes)
        if reason:
            rows, columns = (replace(a, endless=None, reason=reason) for a in (rows, columns))
        return Sight(rows, columns)

    def placed(self, rows: int | None, columns: int | None) -> "Sight":
        """Return the same on other dimensions; None merges an axis."""
        return Sight(_placed(self.rows, rows), _placed(self.columns, columns))


def _placed(axis: Axis, dim: int | None) -> Axis:
    return axis.merged() if dim is None else replace(axis, dim=dim)


def image(shape: Sequence[int]) -> Sight:
    """Return what the pixels of an image (..., H, W) see: themselves."""
    rows, columns = (
        Axis(len(shape) + at, tuple(range(n, n + 1) for n in range(shape[at])), Endless())
        for at in (-2, -1)
    )
    return Sight(rows, columns)


def union(sights: Sequence[Sight]) -> Sight:
    """Return what elements see that are computed from all, position by position."""
    first, *others = sights
    for other in others:
        first = first.joined(other)
    return first
