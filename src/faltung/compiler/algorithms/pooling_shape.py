"""What a pooling kernel is specialised on."""

from dataclasses import dataclass, replace

from faltung.compiler.emit import Code, Index, Int, Vector
from faltung.compiler.problem import Problem


@dataclass(frozen=True)
class Shape:
    """What a pooling kernel is specialised on; everything else is an argument.

    Attributes:
        operation: "max", "min" or "avg".
        window: Taps along height and width.
        stride: Step of the window.
        dilation: Distance of taps.
        source: What lies side by side in the input: "channels" (then in the output too), "rows" or
            "any".
        sink: The same of the output.
        kind: Element type.
        indices: Positions are written too.
        direct: No window leaves the image, and lines are long: they are read where they are.
        across: Lines are so short that vectors are of channels, however far apart.
        together: Then as many neighbouring taps as a vector has elements are read at once.
    """

    operation: str
    window: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    source: str
    sink: str
    kind: str
    indices: bool
    direct: bool = False
    across: bool = False
    together: bool = False

    @property
    def reach(self) -> tuple[int, int]:
        """Distance from a window's first tap to its last."""
        (r, s), (y, x) = self.window, self.dilation
        return (r - 1) * y, (s - 1) * x

    def offset(self, code: Code, width: Int, r: Index, s: Index, lanes: int) -> Vector:
        """Return how far a tap's position is from its window's, in an image of that width."""
        return code.spread_int(r * (width * self.dilation[0]) + s * self.dilation[1], lanes)


def flattened(problem: Problem) -> Problem:
    """Return the same problem over images of one row, where windows are as wide as the image.

    Then what a window takes is one run of memory, if rows follow each other; else, and where there
    are several columns of windows, the problem is returned as it is.
    """
    forward = problem.direction == "forward"
    x, y = (problem.strides[0], problem.strides[2])[:: 1 if forward else -1]
    (h, w), (top, bottom, *sides) = problem.size, problem.padding
    whole = problem.window[1] == w and not any(sides) and problem.dilation == (1, 1)
    if not whole or problem.result[1] != 1 or (x[3], x[2] if h > 1 else w) != (1, w):
        return problem
    flat, apart = (*x[:2], h * w, 1), (*y[:2], y[2], y[2])
    first, last = (flat, apart) if forward else (apart, flat)
    return replace(
        problem,
        size=(1, h * w),
        result=(1, problem.result[0]),
        window=(1, problem.window[0] * w),
        stride=(1, problem.stride[0] * w),
        padding=(0, 0, top * w, bottom * w),
        strides=(first, problem.strides[1], last),
    )
