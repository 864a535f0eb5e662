"""Windows sliding over one axis: sizes, padding rules, taps and receptive fields.

Everything a windowed operation (convolution, pooling, their transposes and gradients) needs to know
about positions is said here once, for one axis; a 2-D operation asks twice. Lengths, positions and
padding count elements. Only the standard library is used, so every function also accepts symbolic
integers that behave as `int`.

The arithmetic is that of V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep
learning" (2016); where PyTorch has a rule of its own (`ceil_mode`, "same"), it is PyTorch's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Rule: TypeAlias = Literal["valid", "same", "same_upper", "same_lower", "full"]
Sides: TypeAlias = tuple[int, int]

RULES: tuple[Rule, ...] = get_args(Rule)


def extent(size: int, dilation: int = 1) -> int:
    """Return the length that `size` taps cover when they lie `dilation` apart.

    >>> extent(3), extent(3, dilation=2)
    (3, 5)
    """
    return dilation * (size - 1) + 1


def pads(
    rule: str, length: int, size: int, stride: int = 1, dilation: int = 1, *, mirrored: bool = False
) -> Sides:
    """Return the padding (before, after) that a named rule puts around one axis.

    "valid" pads nothing; "full" pads `extent - 1` on both sides, so that every overlap of window
    and input gives an output. The "same" family gives `ceil(length / stride)` outputs; it splits
    the total evenly and puts an odd element at the END ("same", "same_upper") or at the START
    ("same_lower"). With stride 1 the total is `p = k - 1`, and the seeds' formula
    `n - k + p + 1` gives n again, for even windows too:

    >>> pads("same_lower", length=8, size=2), 8 - 2 + (1 + 0) + 1
    ((1, 0), 8)

    Args:
        rule: One of `RULES`.
        length: Length of the input axis.
        size: Number of taps of the window.
        stride: Step between neighbouring windows.
        dilation: Distance between neighbouring taps.
        mirrored: The window is flipped (strict convolution): "same" puts the odd element at the
            START, as `scipy.signal.convolve2d` does. The other rules name their side and keep it.

    Source: "same" is torch's rule, "same_upper" and "same_lower" are ONNX's `auto_pad` (and
    TensorFlow's SAME, with stride), "full" is `scipy.signal`'s.
    """
    covered = extent(size, dilation)
    if rule == "valid":
        return 0, 0
    if rule == "full":
        return covered - 1, covered - 1
    outputs = -(-length // stride)
    total = max((outputs - 1) * stride + covered - length, 0)
    less, more = total // 2, total - total // 2
    at_start = rule == "same_lower" or (rule == "same" and mirrored)
    return (more, less) if at_start else (less, more)


@dataclass(frozen=True)
class Window:
    """A window along one axis: its taps, its steps, and the padding around what it slides over.

    Attributes:
        size: Number of taps.
        stride: Step between neighbouring windows.
        dilation: Distance between neighbouring taps.
        before: Elements of padding at the start.
        after: Elements of padding at the end.
        ceil: Let a last window hang over the end, as pooling with `ceil_mode` does.
    """

    size: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False

    @property
    def extent(self) -> int:
        """Length that the taps of one window cover."""
        return extent(self.size, self.dilation)

    def output(self, length: int) -> int:
        """Return the number of windows over `length` elements; below 1 where none fits.

        The seeds give two formulas. With total padding `p = before + after` on both sides together,
        `floor((n - k + p + s) / s)`; with `padding` on each side, `1 + (n + 2 * padding - k) / s`.
        They agree:

        >>> n, k, s, padding = 8, 3, 2, 1
        >>> (n - k + 2 * padding + s) // s, 1 + (n + 2 * padding - k) // s
        (4, 4)
        >>> Window(size=k, stride=s, before=padding, after=padding).output(n)
        4

        With `ceil` the division rounds up, but a window that would start in the padding at the end
        or beyond is dropped (torch's rule):

        >>> Window(2, stride=2, ceil=True).output(5), Window(1, 2, after=1, ceil=True).output(4)
        (3, 2)
        """
        room = length + self.before + self.after - self.extent
        if not self.ceil:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - 1 if (count - 1) * self.stride >= length + self.before else count

    def inverse(self, outputs: int, output_padding: int = 0) -> int:
        """Return the length whose windows number `outputs`: the output size of the transpose.

        With a stride several lengths give the same number of windows; `output_padding` chooses
        among them, 0 the smallest.

        >>> Window(3, stride=2, before=1, after=1).inverse(4)
        7
        >>> Window(3, stride=2, before=1, after=1).inverse(4, output_padding=1)
        8
        """
        room = (outputs - 1) * self.stride + self.extent
        return room - self.before - self.after + output_padding

    def start(self, index: int) -> int:
        """Return the position of the first tap of window `index`; negative in the padding."""
        return index * self.stride - self.before

    def taps(self, index: int, length: int) -> range:
        """Return the positions in `range(length)` that window `index` reads, padding left out.

        >>> list(Window(3, before=1, after=1).taps(0, length=4))
        [0, 1]
        """
        first = self.first_tap(index)
        last = self.start(index) + self.extent
        return range(self.start(index) + first * self.dilation, min(last, length), self.dilation)

    def first_tap(self, index: int) -> int:
        """Return the number of the first tap of window `index` that is not before the input."""
        return max(-(self.start(index) // self.dilation), 0)

    def blind(self, length: int) -> int | None:
        """Return the first window that reads nothing but padding, or None where every one sees."""
        if self.before == self.after == 0:
            return None
        last = self.output(length) - 1
        suspects = (0, last) if self.dilation == 1 else range(last + 1)
        return next((index for index in suspects if not self.taps(index, length)), None)

    def counted(self, index: int, length: int, *, padding: bool) -> int:
        """Return how many elements the mean over window `index` divides by, for undilated windows.

        Padding counts where `padding` is true; what hangs over because of `ceil` never does.

        >>> window = Window(2, stride=2, before=1, after=1)
        >>> window.counted(0, 4, padding=True), window.counted(0, 4, padding=False)
        (2, 1)
        """
        start = self.start(index)
        if padding:
            return min(start + self.size, length + self.after) - start
        return min(start + self.size, length) - max(start, 0)

    def fit(self, length: int) -> Sides:
        """Return padding (before, after) with which the windows cover the axis exactly.

        Overhang of `ceil` becomes padding; an end that no window reads becomes negative padding,
        which crops. Over an axis framed so, the plain operation without padding and without `ceil`
        has the same windows.

        >>> Window(2, stride=2, ceil=True).fit(5), Window(2, stride=2).fit(5)
        ((0, 1), (0, -1))
        """
        covered = (self.output(length) - 1) * self.stride + self.extent
        return self.before, covered - self.before - length


@dataclass(frozen=True)
class ReceptiveField:
    """The input positions that can influence one cell of a feature map, along one axis.

    Attributes:
        size: How many input positions the field spans; may exceed the input.
        jump: Distance in the input between the fields of neighbouring cells.
        start: First position of the field of cell 0; negative where it reaches into padding.

    Source: A. Araujo, W. Norris, J. Sim, "Computing Receptive Fields of Convolutional Neural
    Networks" (Distill, 2019).
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    def through(self, window: Window) -> "ReceptiveField":
        """Return the field after one more windowed operation.

        Two 2x2 convolutions see 3x3, all nine elements of the seeds' example:

        >>> ReceptiveField().through(Window(2)).through(Window(2))
        ReceptiveField(size=3, jump=1, start=0)
        """
        return ReceptiveField(
            size=self.size + (window.extent - 1) * self.jump,
            jump=self.jump * window.stride,
            start=self.start - window.before * self.jump,
        )

    def span(self, index: int) -> range:
        """Return the positions that the field of cell `index` spans, those in padding included."""
        first = self.start + index * self.jump
        return range(first, first + self.size)

    def clipped(self, index: int, length: int) -> range:
        """Return `span(index)` without what lies outside an input of `length` elements."""
        span = self.span(index)
        return range(max(span.start, 0), max(min(span.stop, length), span.start, 0))


def receptive_field(chain: Iterable[Window]) -> ReceptiveField:
    """Return the receptive field of a chain of windowed operations, the first operation first.

    >>> receptive_field([Window(3, before=1, after=1), Window(2, stride=2), Window(3)])
    ReceptiveField(size=8, jump=2, start=-1)
    """
    field = ReceptiveField()
    for window in chain:
        field = field.through(window)
    return field


def windows(
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool = False,
) -> tuple[Window, Window]:
    """Return the windows along height and width; padding is (top, bottom, left, right)."""
    rows = Window(size[0], stride[0], dilation[0], padding[0], padding[1], ceil)
    return rows, Window(size[1], stride[1], dilation[1], padding[2], padding[3], ceil)
