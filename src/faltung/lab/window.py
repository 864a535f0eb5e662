"""The window over an input: one convolution, with all that the page draws of it."""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as tf
from pydantic import Field, JsonValue
from torch import Tensor

from faltung import functional as F
from faltung.errors import ArgumentError
from faltung.functional.arguments import AXES, flat, padding_form, pair, sliding
from faltung.functional.padding import Mode, padded, padding_mode
from faltung.geometry import Window
from faltung.lab.fields import CHANNELS, PADDED, REACH, TAPS, Asked, Number, Planes, at_most, table

KernelLine = Annotated[list[Number], Field(min_length=1, max_length=TAPS)]
KernelPlane = Annotated[list[KernelLine], Field(min_length=1, max_length=TAPS)]
Kernel = Annotated[list[KernelPlane], Field(min_length=1, max_length=CHANNELS)]
Kernels = Annotated[list[Kernel], Field(min_length=1, max_length=CHANNELS)]
Grid = list[list[float]]


class WindowAsked(Asked):
    """A convolution of one small image.

    Attributes:
        input: The image, (C, H, W).
        kernel: The kernels, (K, C / groups, R, S).
        stride: As `faltung.nn.Conv2d` takes it; the same for the rest.
        padding: In any form listed in `faltung.functional`.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        dilation: Distance between neighbouring taps.
        groups: Groups of channels.
        flip: Strict convolution.
    """

    input: Planes
    kernel: Kernels
    stride: JsonValue = 1
    padding: JsonValue = 0
    padding_mode: JsonValue = "zeros"
    dilation: JsonValue = 1
    groups: JsonValue = 1
    flip: bool = False


@dataclass(frozen=True)
class Axis:
    """The windows along one axis: their taps, steps, the padding, and how many there are."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int
    extent: int
    outputs: int


@dataclass(frozen=True)
class Slid:
    """What the page draws of a convolution.

    Attributes:
        output: Feature maps (K, Y, X).
        padded: The input with its padding filled in, (C, H + padding, W + padding).
        gradient: Gradient of the sum of all outputs with respect to the input, (C, H, W).
        rows: The windows along the height.
        columns: The windows along the width.
        groups: Groups of channels.
    """

    output: list[Grid]
    padded: list[Grid]
    gradient: list[Grid]
    rows: Axis
    columns: Axis
    groups: int


@dataclass(frozen=True)
class Convolution:
    """A convolution that was computed, in float64, and what it was computed from.

    Attributes:
        x: The image (C, H, W); it requires its gradient.
        w: The kernels (K, C / groups, R, S).
        y: The feature maps (K, Y, X).
        big: The padded image.
        source: For each place of a padded plane the place of the image that it repeats, counted
            row by row, or -1 where it is zero.
        windows: Windows along height and width.
        groups: Groups of channels.
        flip: Strict convolution.
    """

    x: Tensor
    w: Tensor
    y: Tensor
    big: Tensor
    source: Tensor
    windows: tuple[Window, Window]
    groups: int
    flip: bool

    def gradient(self) -> Tensor:
        """Return the gradient of the sum of all outputs with respect to the image (C, H, W)."""
        (found,) = torch.autograd.grad(self.y.sum(), self.x, retain_graph=True)
        return found


def convolve(asked: WindowAsked) -> Convolution:
    """Compute a convolution through `faltung.functional`.

    Raises:
        FaltungError: What the function or the layer raises for these arguments; or an argument is
            larger than the page draws.
    """
    x, w = table("input", asked.input), table("kernel", asked.kernel)
    for name in ("stride", "padding", "dilation", "groups"):
        at_most(name, getattr(asked, name), REACH)
    given = asked.model_dump()
    stride, padding, dilation, groups = (
        given[name] for name in ("stride", "padding", "dilation", "groups")
    )
    mode = padding_mode(given["padding_mode"])
    windows = sliding(
        x.shape[1:],
        w.shape[2:],
        pair("stride", stride),
        padding_form(padding),
        pair("dilation", dilation),
        mirrored=asked.flip,
    )
    _drawable(x, windows)
    x.requires_grad_()
    if mode == "zeros":
        y = F.conv2d(x, w, None, stride, padding, dilation, groups, flip=asked.flip)
    big = _padded(x, windows, mode)
    if mode != "zeros":  # as `faltung.nn.Conv2d` does
        y = F.conv2d(big, w, None, stride, 0, dilation, groups, flip=asked.flip)
    places = torch.arange(x[0].numel(), dtype=torch.float64).reshape(x[:1].shape) + 1
    source = _padded(places, windows, mode)[0].long() - 1
    return Convolution(x, w, y, big, source, windows, int(groups), asked.flip)


def _drawable(x: Tensor, windows: tuple[Window, Window]) -> None:
    """Require that the padded image is one that the page can draw."""
    for (lines, _), window, length in zip(AXES, windows, x.shape[1:], strict=True):
        found = window.before + length + window.after
        if found > PADDED:
            raise ArgumentError(
                f"the padded input has {found} {lines} ({window.before} + {length} + "
                f"{window.after}): the lab draws at most {PADDED}; use less padding or dilation"
            )


def _padded(x: Tensor, windows: tuple[Window, Window], mode: Mode) -> Tensor:
    if mode != "zeros":
        return padded(x, windows, mode)
    top, bottom, left, right = flat(windows)
    return tf.pad(x, [left, right, top, bottom])


def slide(asked: WindowAsked) -> Slid:
    """Answer a request of the page: the convolution and all that is drawn of it.

    Raises:
        FaltungError: As `convolve`.
    """
    done = convolve(asked)
    rows, columns = (
        Axis(w.size, w.stride, w.dilation, w.before, w.after, w.extent, w.output(n))
        for w, n in zip(done.windows, done.x.shape[1:], strict=True)
    )
    output, big, gradient = (t.tolist() for t in (done.y, done.big, done.gradient()))
    return Slid(output, big, gradient, rows, columns, done.groups)
