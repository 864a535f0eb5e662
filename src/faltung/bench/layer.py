"""A layer's sizes, and their text: one line that says what is computed.

The text is a word for the kind (none for a convolution, `t`
for a transposed one, `max` or `avg` for a pool) and fields in any order, named as in oneDNN's
benchdnn:

| field | is | without it |
|---|---|---|
| `mb` | images in a batch, N | 1 |
| `g` | groups, G (convolutions only) | 1 |
| `ic` | input channels, C | must be there |
| `ih`, `iw` | height and width of the input | `ih` must be there; `iw` is `ih` |
| `oc` | output channels, K (convolutions only) | must be there |
| `kh`, `kw` | height and width of the window | `kh` must be there; `kw` is `kh` |
| `sh`, `sw` | stride | 1; `sw` is `sh` |
| `ph`, `pw` | padding on each side | 0; `pw` is `ph` |
| `dh`, `dw` | dilation as torch counts it: 1 is dense (benchdnn's is one less) | 1; `dw` is `dh` |
"""

import re
from dataclasses import dataclass

from faltung.errors import ArgumentError, ShapeError
from faltung.geometry import Window

DIRECTIONS = ("forward", "input", "weight")
KINDS = {"": "convolution", "t": "transposed", "max": "max", "avg": "avg"}
POOLS = ("max", "avg")

DEFAULTS: dict[str, int | str | None] = {  # None: must be there; a name: same as that field
    "mb": 1,
    "g": 1,
    "ic": None,
    "ih": None,
    "iw": "ih",
    "oc": None,
    "kh": None,
    "kw": "kh",
    "sh": 1,
    "sw": "sh",
    "ph": 0,
    "pw": "ph",
    "dh": 1,
    "dw": "dh",
}
CONVOLUTIONS_ONLY = ("g", "oc")
EXAMPLE = "'mb1ic64ih56oc64kh3ph1' or 'max ic64ih112kh3sh2ph1'"


@dataclass(frozen=True)
class Layer:
    """A convolution, transposed convolution or pool of known sizes.

    Attributes:
        kind: "convolution", "transposed", "max" or "avg".
        n: Images in a batch.
        groups: Groups of channels that are convolved apart; 1 for pools.
        c: Input channels.
        k: Output channels; `c` for pools.
        size: Height and width of the input.
        window: Height and width of the window, in taps.
        stride: Step of the window along height and width.
        padding: Zeros on each side along height and width; cropped by a transposed convolution.
        dilation: Distance between neighbouring taps along height and width; 1 is dense.

    Raises:
        ArgumentError: A number is too small, or the kind is unknown.
        ShapeError: Groups do not divide the channels, or no window fits.
    """

    kind: str
    n: int
    groups: int
    c: int
    k: int
    size: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.kind not in KINDS.values():
            known = ", ".join(KINDS.values())
            raise ArgumentError(f"kind is {self.kind!r}: it must be one of {known}")
        for name, value in self._fields().items():
            least = 0 if name in {"ph", "pw"} else 1
            if value < least:
                raise ArgumentError(f"{name} is {value}: it must be at least {least}")
        for name, channels in (("ic", self.c), ("oc", self.k)):
            if channels % self.groups:
                raise ShapeError(
                    f"g is {self.groups}, which does not divide {name} ({channels}): every group "
                    f"has the same number of channels; choose a divisor of both"
                )
        for axis, name in enumerate("hw"):
            self._check_window(axis, name)

    def _check_window(self, axis: int, name: str) -> None:
        window, length, pad = self.windows[axis], self.size[axis], self.padding[axis]
        if self.kind == "transposed":
            if window.inverse(length) < 1:
                raise ShapeError(f"p{name} is {pad}, which crops the whole output: use less")
            return
        if window.extent > length + 2 * pad:
            raise ShapeError(
                f"k{name} is {window.size} (covering {window.extent}) but i{name} with padding "
                f"only {length + 2 * pad}: use a smaller window, more padding or a larger image"
            )
        if self.kind in POOLS and 2 * pad > window.size:
            raise ShapeError(
                f"p{name} is {pad}: a pool pads at most half its window ({window.size}); use less"
            )
        if self.kind == "avg" and window.dilation > 1:
            raise ArgumentError(f"d{name} is {window.dilation}: averages are dense; leave it out")

    @property
    def windows(self) -> tuple[Window, Window]:
        """The windows along height and width."""
        rows, columns = (
            Window(r, s, d, p, p)
            for r, s, d, p in zip(
                self.window, self.stride, self.dilation, self.padding, strict=True
            )
        )
        return rows, columns

    @property
    def is_pool(self) -> bool:
        """Whether the layer is a pool, which has no weights."""
        return self.kind in POOLS

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return (self.n, self.c, *self.size)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(N, K, Y, X)."""
        rows, columns = self.windows
        height, width = self.size
        if self.kind == "transposed":
            return (self.n, self.k, rows.inverse(height), columns.inverse(width))
        return (self.n, self.k, rows.output(height), columns.output(width))

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(K, C / G, R, S); transposed (C, K / G, R, S); (0,) for a pool."""
        if self.is_pool:
            return (0,)
        if self.kind == "transposed":
            return (self.c, self.k // self.groups, *self.window)
        return (self.k, self.c // self.groups, *self.window)

    @property
    def directions(self) -> tuple[str, ...]:
        """What can be computed: forward, gradient by the input, gradient by the weight."""
        return DIRECTIONS[:2] if self.is_pool else DIRECTIONS

    @property
    def flops(self) -> int:
        """Operations of one call in any direction, taps on padding counted like all others.

        A multiplication and an addition for each tap of a convolution, one operation for each tap
        of a pool.
        """
        taps = self.window[0] * self.window[1]
        if self.kind == "transposed":
            return (
                2 * taps * self.n * self.c * (self.k // self.groups) * self.size[0] * self.size[1]
            )
        n, k, y, x = self.output_shape
        each = taps if self.is_pool else 2 * taps * (self.c // self.groups)
        return each * n * k * y * x

    def _fields(self) -> dict[str, int]:
        values = [self.n, self.groups, self.c, *self.size, self.k, *self.window]
        values += [*self.stride, *self.padding, *self.dilation]
        return dict(zip(DEFAULTS, values, strict=True))

    def __str__(self) -> str:
        """Return the text of the layer, without fields that say what is so anyway."""
        values = self._fields()
        left_out = CONVOLUTIONS_ONLY if self.is_pool else ()
        fields = ""
        for name, value in values.items():
            default = DEFAULTS[name]
            usual = values[default] if isinstance(default, str) else default
            if name not in left_out and value != usual:
                fields += f"{name}{value}"
        word = next(word for word, kind in KINDS.items() if kind == self.kind)
        return f"{word} {fields}".strip()


def parse(text: str) -> Layer:
    """Return the layer that a text describes; `str(layer)` is the way back.

    >>> parse("mb8ic64ih56oc64kh3ph1").output_shape
    (8, 64, 56, 56)

    Raises:
        ArgumentError: The text is malformed, or a number breaks its own rule.
        ShapeError: The sizes do not fit.
    """
    *words, fields = text.split() or [""]
    word = " ".join(words)
    if word not in KINDS:
        raise ArgumentError(
            f"{text!r} starts with {word!r}: it must be t, max, avg or nothing, as in {EXAMPLE}"
        )
    if not re.fullmatch(r"([a-z]+[0-9]+)+", fields):
        raise ArgumentError(f"{text!r} is not a row of names and numbers: write {EXAMPLE}")
    kind = KINDS[word]
    given = _given(text, fields, kind)
    if kind in POOLS:
        given["oc"] = given.get("ic", 0)
    for name, default in DEFAULTS.items():
        if name in given:
            continue
        if default is None:
            raise ArgumentError(f"{text!r} lacks {name!r}: write {EXAMPLE}")
        given[name] = given[default] if isinstance(default, str) else default
    pairs = [(given[f"{letter}h"], given[f"{letter}w"]) for letter in "ikspd"]
    return Layer(kind, given["mb"], given["g"], given["ic"], given["oc"], *pairs)


def _given(text: str, fields: str, kind: str) -> dict[str, int]:
    given: dict[str, int] = {}
    for name, number in re.findall(r"([a-z]+)([0-9]+)", fields):
        if name not in DEFAULTS:
            raise ArgumentError(f"{text!r} has {name!r}: the fields are {', '.join(DEFAULTS)}")
        if name in given:
            raise ArgumentError(f"{text!r} has {name!r} twice: leave one out")
        if kind in POOLS and name in CONVOLUTIONS_ONLY:
            raise ArgumentError(f"{text!r} has {name!r}: pools keep their channels; leave it out")
        given[name] = int(number)
    return given
