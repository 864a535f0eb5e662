"""What a pooling kernel is specialised on."""

from dataclasses import dataclass

from faltung.compiler.emit import Code, Index, Int, Vector


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

    @property
    def reach(self) -> tuple[int, int]:
        """Distance from a window's first tap to its last."""
        (r, s), (y, x) = self.window, self.dilation
        return (r - 1) * y, (s - 1) * x

    def offset(self, code: Code, width: Int, r: Index, s: Index, lanes: int) -> Vector:
        """Return how far a tap's position is from its window's, in an image of that width."""
        return code.spread_int(r * (width * self.dilation[0]) + s * self.dilation[1], lanes)
