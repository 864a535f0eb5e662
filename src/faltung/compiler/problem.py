"""What is asked: one windowed operation in one direction, as a frozen value with a text form.

The text follows oneDNN's benchdnn: `mb1g1ic64ih56iw56oc64kh3kw3sh1sw1ph1pw1dh1dw1`, with defaults
left out (`ic64ih56oc64kh3ph1`). Here `dh1` is the ordinary, dense window (torch's dilation 1).
Before it stand the operation and the direction, behind it the element type and layouts:
`conv forward ic64ih56oc64kh3ph1 f32 nchw`.
"""

import re
from dataclasses import dataclass, field

from faltung.geometry import Window

OPERATIONS = ("conv", "max", "min", "avg")
DIRECTIONS = ("forward", "input", "weight")
KINDS = {"f32": 4, "bf16": 2}
Pair = tuple[int, int]
Strides = tuple[int, int, int, int]
ACTIVATIONS = ("relu", "relu6", "silu")
POOLS = {"max": "max2", "avg": "avg2"}
FLAGS = {"flip", "bias", "indices", "sum", *ACTIVATIONS, *POOLS.values()}
FIELDS = re.compile(r"([a-z]+)(-?\d+)")


@dataclass(frozen=True)
class Problem:
    """One windowed operation in one direction.

    Attributes:
        operation: One of `OPERATIONS`.
        direction: "forward", "input" (gradient of the input) or "weight" (of the weight).
        images: N.
        groups: Groups of channels; for pools 1.
        channels: C, of all groups.
        outputs: K, of all groups; for pools C.
        size: Height and width of the (forward) input.
        result: Height and width of the (forward) output.
        window: Taps along height and width.
        stride: Step of the window.
        padding: Elements of padding (top, bottom, left, right).
        dilation: Distance between taps.
        flip: The kernel is turned by 180 degrees.
        kind: Element type of all tensors, "f32" or "bf16".
        strides: Elements from one image, channel, row and column to the next, of the first tensor
            (x, or dy for direction "input"), the second (weight, or dy for "weight"; for pools
            unused) and the output.
        bias: A bias is added.
        indices: Positions of maxima or minima are wanted (or, backward, given).
        divisor: What means are divided by; 0 for the number of elements.
        count_padding: Means count the padding.
        summand: A tensor with the strides of the output is added before the activation.
        activation: What follows: "", "relu", "relu6" or "silu".
        pool: What windows of 2x2 with stride 2 then make of it: "", "max" or "avg". The third
            strides are those of what is pooled; `result` is not pooled.
        precision: What float32 promises, torch's "highest", "high" or "medium".
    """

    operation: str
    direction: str
    images: int
    groups: int
    channels: int
    outputs: int
    size: Pair
    result: Pair
    window: Pair
    stride: Pair
    padding: Strides
    dilation: Pair
    flip: bool = False
    kind: str = "f32"
    strides: tuple[Strides, Strides, Strides] = field(default=((0,) * 4,) * 3)
    bias: bool = False
    indices: bool = False
    divisor: int = 0
    count_padding: bool = True
    summand: bool = False
    activation: str = ""
    pool: str = ""
    precision: str = "highest"

    @property
    def macs(self) -> int:
        """Products that are summed, padding included; for pools, elements that are compared."""
        cells = self.images * self.outputs * self.result[0] * self.result[1]
        return cells * self.channels // self._divider * self.window[0] * self.window[1]

    @property
    def _divider(self) -> int:
        return self.groups if self.operation == "conv" else self.channels

    @property
    def read_and_made(self) -> Pair:
        """Channels of a group: of what is summed over, and of the result; not for weights."""
        counts = self.channels // self.groups, self.outputs // self.groups
        return counts if self.direction == "forward" else counts[::-1]

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, each once."""
        x = self.images * self.channels * self.size[0] * self.size[1]
        y = self.images * self.outputs * self.result[0] * self.result[1] * (1 + self.summand)
        y = y // 4 if self.pool else y
        w = self.outputs * self.channels // self.groups * self.window[0] * self.window[1]
        return KINDS[self.kind] * (x + y + (w if self.operation == "conv" else 0))

    def __str__(self) -> str:
        """Return the problem as one line."""
        h, w = self.size
        r, s = self.window
        top, bottom, left, right = self.padding
        parts = [f"mb{self.images}" if self.images > 1 else ""]
        parts += [f"g{self.groups}" if self.groups > 1 else "", f"ic{self.channels}ih{h}"]
        parts += [f"iw{w}" if w != h else ""]
        parts += [f"oc{self.outputs}" if self.operation == "conv" else "", f"kh{r}"]
        parts += [f"kw{s}" if s != r else ""]
        for name, (a, b) in (("s", self.stride), ("d", self.dilation)):
            parts += [f"{name}h{a}" if (a, b) != (1, 1) else "", f"{name}w{b}" if a != b else ""]
        if any(self.padding):
            parts += [f"ph{top}", f"pb{bottom}" if bottom != top else ""]
            parts += [f"pw{left}" if left != top else "", f"pr{right}" if right != left else ""]
        words = [self.operation, self.direction, "".join(parts), self.kind]
        words += [layout(self.strides[0]), layout(self.strides[2])]
        words += [w for w, on in (("flip", self.flip), ("bias", self.bias)) if on]
        words += ["indices"] * self.indices + ["sum"] * self.summand
        words += [self.activation] * bool(self.activation) + [f"{self.pool}2"] * bool(self.pool)
        return " ".join(words)


def layout(strides: Strides) -> str:
    """Return which axis has stride 1: "channels", "rows" or "any"."""
    if strides[1] == 1:
        return "channels"
    return "rows" if strides[3] == 1 else "any"


def dense_strides(channels: int, size: Pair, channels_last: bool) -> Strides:
    """Return the strides of a tensor without gaps."""
    h, w = size
    if channels_last:
        return (h * w * channels, 1, w * channels, channels)
    return (channels * h * w, h * w, w, 1)


def parse(text: str) -> Problem:
    """Read a problem from its text form.

    The operation defaults to "conv", the direction to "forward", the layout to "rows" (NCHW).

    Raises:
        ValueError: The text is not of that form; the message says where.
    """
    words = text.split()
    operation, direction, kind, last, flags = "conv", "forward", "f32", [], set()
    sizes = ""
    for word in words:
        if word in OPERATIONS:
            operation = word
        elif word in DIRECTIONS:
            direction = word
        elif word in KINDS:
            kind = word
        elif word in {"channels", "rows", "nchw", "nhwc", "channels_last"}:
            last.append(word in {"channels", "nhwc", "channels_last"})
        elif word in FLAGS:
            flags.add(word)
        elif not sizes:
            sizes = word
        else:
            raise ValueError(f"{text!r} is not a problem: what does {word!r} mean?")
    return _problem(text, sizes, operation, direction, kind, last, flags)


def _problem(
    text: str,
    sizes: str,
    operation: str,
    direction: str,
    kind: str,
    last: list[bool],
    flags: set[str],
) -> Problem:
    known = {name: int(number) for name, number in FIELDS.findall(sizes)}
    if "".join(f"{n}{v}" for n, v in FIELDS.findall(sizes)) != sizes or "ic" not in known:
        raise ValueError(
            f"{text!r} is not a problem: write sizes such as ic64ih56oc64kh3ph1 (mb images, g "
            f"groups, ic oc channels, ih iw image, kh kw window, sh sw stride, dh dw dilation, "
            f"ph pb pw pr padding)"
        )
    r = known.get("kh", 1)
    h = known.get("ih", 1)
    top = known.get("ph", 0)
    left = known.get("pw", top)
    channels = known["ic"]
    outputs = known.get("oc", channels)
    sides = (top, known.get("pb", top), left, known.get("pr", left))
    stride = known.get("sh", 1), known.get("sw", known.get("sh", 1))
    dilation = known.get("dh", 1), known.get("dw", known.get("dh", 1))
    window, size = (r, known.get("kw", r)), (h, known.get("iw", h))
    rows = Window(window[0], stride[0], dilation[0], *sides[:2])
    columns = Window(window[1], stride[1], dilation[1], *sides[2:])
    result = rows.output(size[0]), columns.output(size[1])
    if min(result) < 1:
        raise ValueError(f"{text!r}: the window is larger than the padded image; pad more")
    groups = known.get("g", 1)
    if channels % groups or outputs % groups:
        raise ValueError(f"{text!r}: ic and oc must be multiples of g")
    first, final = last[0] if last else False, last[-1] if last else False
    pool = next((name for name, word in POOLS.items() if word in flags), "")
    forward = operation == "conv" and direction == "forward"
    after = sorted(flags & {"sum", *ACTIVATIONS, *POOLS.values()})
    if after and not forward:
        raise ValueError(
            f"{text!r}: {after[0]} follows a convolution, forward; leave it out of anything else"
        )
    shown = (result[0] // 2, result[1] // 2) if pool else result
    x, y = dense_strides(channels, size, first), dense_strides(outputs, shown, final)
    w = dense_strides(channels // groups, window, first)
    tensors = {"forward": (x, w, y), "input": (y, w, x), "weight": (x, y, w)}[direction]
    activation = next((f for f in ACTIVATIONS if f in flags), "")
    return Problem(
        operation, direction, known.get("mb", 1), groups, channels, outputs, size, result, window,
        stride, sides, dilation, "flip" in flags, kind, tensors, "bias" in flags,
        "indices" in flags, summand="sum" in flags, activation=activation, pool=pool,
    )  # fmt: skip
