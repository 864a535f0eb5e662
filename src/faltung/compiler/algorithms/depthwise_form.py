"""What depthwise kernels are specialised on."""

from dataclasses import dataclass

from faltung.compiler.algorithms.argument_block import rounded
from faltung.compiler.algorithms.depthwise_axes import Axis


@dataclass(frozen=True)
class Form:
    """What the kernel of a convolution or of its input gradient is specialised on.

    Attributes:
        rows: Taps along the height, for each phase of output rows.
        columns: Taps along the width, for each phase of output columns.
        step: Rows and columns of the source from one output of a phase to the next.
        window: Rows and columns of the weight.
        layout: "channels": vectors run over channels in both tensors; "rows": along rows.
        near: The elements of a row lie side by side in the source, and in the target.
        fan: Source channels of a unit, whose products are summed, and its target channels.
        kind: Element type of all tensors.
        bias: There is a bias.
        activation: See `output.Sink`.
        tile: Rows and vectors of the register tile.
        rest: Vectors of the last tile of a row, where vectors run along rows.
        direct: No panel is made: vectors over channels are read from the image itself; every
            vector is whole.
        turned: Planes of NCHW are turned to vectors over channels, and back; every vector is whole.
    """

    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    step: tuple[int, int]
    window: tuple[int, int]
    layout: str
    near: tuple[bool, bool]
    fan: tuple[int, int]
    kind: str
    bias: bool
    activation: str
    tile: tuple[int, int]
    rest: int
    direct: bool
    turned: bool

    @property
    def whole(self) -> bool:
        """Whether every vector of channels is whole."""
        return self.direct or self.turned

    def unit(self, lanes: int) -> int:
        """Return the elements of a position."""
        return lanes if self.layout == "channels" else 1

    def filters(self, lanes: int, vectors: int) -> int:
        """Return the elements that the packed weights and biases of a unit take."""
        taps = self.window[0] * self.window[1] + 1
        return rounded(taps * self.unit(lanes) * vectors * max(self.fan))

    def stage(self, lanes: int) -> int:
        """Return the elements of the room in which the last outputs of a row wait."""
        return rounded(lanes * self.tile[1] * len(self.columns))


@dataclass(frozen=True)
class WeightForm:
    """What the kernel of a weight gradient is specialised on.

    Attributes:
        window: Rows and columns of the weight.
        step: Stride along height and width.
        dilation: Distance between taps.
        flip: The kernel is turned.
        layout: "channels": vectors run over channels in both tensors; "rows": along rows.
        near: The elements of a row lie side by side in x, and in dy.
        multiplier: Output channels of an input channel.
        kind: Element type of all tensors.
        bias: The gradient of the bias is wanted too.
        chunked: The blocks of a channel fall into chunks.
        tile: Rows and columns of taps, and outputs of a channel, that are summed at once.
        direct: No panel is made: vectors over channels are read from the tensors themselves;
            every vector is whole.
        given: dy is read where it lies, in rows of at least a vector; else from a panel.
    """

    window: tuple[int, int]
    step: tuple[int, int]
    dilation: tuple[int, int]
    flip: bool
    layout: str
    near: tuple[bool, bool]
    multiplier: int
    kind: str
    bias: bool
    chunked: bool
    tile: tuple[int, int, int]
    direct: bool
    given: bool

    def set_of_sums(self, lanes: int) -> int:
        """Return the elements of the sums of one output channel, or of one vector of channels."""
        return (self.window[0] * self.window[1] // lanes + 1) * lanes * lanes
