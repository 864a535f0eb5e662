"""Dense convolutions in any direction: their definition in float64, and our kernels on tensors.

The definition is a sum over taps of shifted products; `test_dense_kernels.py` shows that it says
the same as the loops of `oracle`. The kernels are planned by the dense algorithms themselves, so
that more special ones do not step in.

A tensor pair (first, second) is (x, w) for "forward", (dy, w) for "input", (x, dy) for "weight".
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as tf
from torch import Tensor

from faltung.compiler import machine
from faltung.compiler.algorithms import (
    amx_blocks,
    amx_plan,
    amx_weight_plan,
    dense_plan,
    dense_weight_plan,
    effort,
    narrow_plan,
    planar_plan,
    winograd_plan,
    winograd_weight_plan,
)
from faltung.compiler.call import Call, ready
from faltung.compiler.plan import Plan
from faltung.compiler.problem import Problem
from faltung.compiler.target import NO_TILES, Target, pretending
from faltung.geometry import windows
from faltung.ops.ours import conv_problem
from faltung.settings import LEVELS
from guarded import flat
from layouts import LAYOUTS

HOST = machine.host()
TILES = replace(HOST, level="tiles", lanes=16, registers=32, tiles="interpreted", l2=2**21)
"""A CPU with a matrix unit, whose instructions are interpreted: every CPU can run that."""

TARGETS = {target.level: target for target in (pretending(HOST, level) for level in LEVELS)}
TARGETS["tiles"] = TILES
COMMON = TARGETS.get("avx2", HOST)  # whose plans tests expect, whatever this CPU offers beyond
VECTORS = replace(HOST, tiles="")  # this CPU without a matrix unit
"""What this CPU can run: its own instructions, and those that it can pretend."""

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Conv:
    """A convolution; channels and outputs are those of one group.

    Attributes:
        images: N.
        groups: G.
        channels: C of a group.
        outputs: K of a group.
        size: Height and width of the input.
        window: Taps along height and width.
        stride: Step of the window.
        padding: Elements (top, bottom, left, right); negative ones crop.
        dilation: Distance between taps.
        flip: The kernel is turned.
    """

    images: int
    groups: int
    channels: int
    outputs: int
    size: Pair
    window: Pair
    stride: Pair = (1, 1)
    padding: Shape = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    flip: bool = False

    @property
    def result(self) -> Pair:
        """Height and width of the output."""
        rows, columns = windows(self.window, self.stride, self.padding, self.dilation)
        return rows.output(self.size[0]), columns.output(self.size[1])

    @property
    def x(self) -> Shape:
        """Shape of the input."""
        return (self.images, self.groups * self.channels, *self.size)

    @property
    def w(self) -> Shape:
        """Shape of the weight."""
        return (self.groups * self.outputs, self.channels, *self.window)

    @property
    def y(self) -> Shape:
        """Shape of the output."""
        return (self.images, self.groups * self.outputs, *self.result)

    def shapes(self, direction: str) -> tuple[Shape, Shape, Shape]:
        """Return the shapes of first, second and result in a direction."""
        return {
            "forward": (self.x, self.w, self.y),
            "input": (self.y, self.w, self.x),
            "weight": (self.x, self.y, self.w),
        }[direction]

    def products(self, direction: str) -> int:
        """Return how many products, and a bias, are summed to an element at most."""
        taps = self.window[0] * self.window[1]
        pixels = self.images * self.result[0] * self.result[1]
        return 1 + {
            "forward": self.channels * taps, "input": self.outputs * taps, "weight": pixels
        }[direction]  # fmt: skip

    def biased(self, direction: str) -> int:
        """Return how many elements a bias, or its gradient, has."""
        return self.groups * (self.channels if direction == "input" else self.outputs)


def _taps(conv: Conv) -> Iterator[tuple[int, int, slice, slice]]:
    """Give the place in the kernel and the rows and columns of the padded input of every tap."""
    for r in range(conv.window[0]):
        for s in range(conv.window[1]):
            along = []
            for tap, gap, step, count in zip(
                (r, s), conv.dilation, conv.stride, conv.result, strict=True
            ):
                along.append(slice(tap * gap, tap * gap + (count - 1) * step + 1, step))
            turned = (conv.window[0] - 1 - r, conv.window[1] - 1 - s)
            yield *(turned if conv.flip else (r, s)), along[0], along[1]


def defined(
    direction: str, conv: Conv, first: Tensor, second: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Return the convolution, or one of its transposes, in float64."""
    a, b = first.double(), second.double()
    top, bottom, left, right = conv.padding
    sides = (left, right, top, bottom)
    groups = conv.groups
    if direction == "forward":
        image = tf.pad(a, sides).unflatten(1, (groups, -1))
        weight, y = b.unflatten(0, (groups, -1)), torch.zeros(conv.y, dtype=torch.float64)
        into = y.unflatten(1, (groups, -1))
        for r, s, rows, columns in _taps(conv):
            seen = image[..., rows, columns]
            into += torch.einsum("ngchw,gkc->ngkhw", seen, weight[..., r, s])
    elif direction == "input":
        large = tf.pad(torch.zeros(conv.x, dtype=torch.float64), sides)
        gradient, weight = a.unflatten(1, (groups, -1)), b.unflatten(0, (groups, -1))
        into = large.unflatten(1, (groups, -1))
        for r, s, rows, columns in _taps(conv):
            product = torch.einsum("ngkhw,gkc->ngchw", gradient, weight[..., r, s])
            into[..., rows, columns] += product
        y = tf.pad(large, [-side for side in sides])
    else:
        image = tf.pad(a, sides).unflatten(1, (groups, -1))
        gradient, y = b.unflatten(1, (groups, -1)), torch.zeros(conv.w, dtype=torch.float64)
        into = y.unflatten(0, (groups, -1))
        for r, s, rows, columns in _taps(conv):
            seen = image[..., rows, columns]
            into[..., r, s] = torch.einsum("ngchw,ngkhw->gkc", seen, gradient)
    return y if bias is None else y + bias.double().view(1, -1, 1, 1)


def activated(y: Tensor, activation: str) -> Tensor:
    """Return what follows the bias."""
    if not activation:
        return y
    return y.relu() if activation == "relu" else y.clamp(0, 6)


@dataclass(frozen=True)
class Way:
    """How a kernel is run.

    Attributes:
        target: The CPU.
        threads: Threads of the team, for small problems too.
        activation: What follows the bias.
        general: The kernel is one for all windows; else one for this one, where it is small.
        winograd: It is one of Winograd's method.
        planar: It is one whose vectors run along rows.
        narrow: It is one for few outputs.
    """

    target: Target
    threads: int = 1
    activation: str = ""
    general: bool = True
    winograd: bool = False
    planar: bool = False
    narrow: bool = False


@cache
def planned(problem: Problem, way: Way) -> Plan:
    """Return the plan of a dense algorithm, of the matrix unit's where the target has one."""
    algorithm: Any = dense_weight_plan if problem.direction == "weight" else dense_plan
    if way.winograd:
        algorithm = winograd_weight_plan if problem.direction == "weight" else winograd_plan
    elif way.planar or way.narrow:
        algorithm = planar_plan if way.planar else narrow_plan
    elif way.target.tiles not in NO_TILES:
        algorithm = amx_weight_plan if problem.direction == "weight" else amx_plan
    unrolled = 0 if way.general else dense_plan.UNROLLED
    with (
        mock.patch.object(effort, "SERIAL", 0),
        mock.patch.object(dense_plan, "UNROLLED", unrolled),
        mock.patch.object(winograd_weight_plan, "DIRECT", math.inf),
        mock.patch.multiple(planar_plan, LEAST=1, WASTE=1000),
        mock.patch.object(amx_plan, "SERIAL", 0),
        mock.patch.object(amx_weight_plan, "SERIAL", 0),
        mock.patch.object(amx_blocks, "FMA", 1e-9),  # vectors are never expected to be faster
    ):
        assert algorithm.refuses(problem, way.target) is None
        plan: Plan = algorithm.plans(problem, way.target, way.threads)[0]
    return plan


@cache
def called(problem: Problem, way: Way) -> Call:
    """Return the plan, ready to be called, and a dense one where it cannot."""
    plan, instead = planned(problem, way), None
    if way.winograd:
        vectors = replace(way.target, tiles="")
        instead = planned(problem, replace(way, target=vectors, winograd=False))
    elif way.target.tiles not in NO_TILES and plan.guarded and not (way.planar or way.narrow):
        instead = planned(problem, replace(way, target=replace(way.target, tiles="")))
    return ready(plan, way.target, instead)


def asked(
    direction: str, conv: Conv, tensors: tuple[Tensor, Tensor, Tensor], bias: bool, way: Way
) -> Problem:
    """Return the problem of (first, second, result)."""
    geometry = (conv.stride, conv.padding, conv.dilation, conv.groups, conv.flip)
    problem = conv_problem(direction, *tensors, bias, geometry)
    return replace(problem, activation=way.activation)


def run(
    direction: str,
    conv: Conv,
    tensors: tuple[Tensor, Tensor, Tensor],
    bias: Tensor | None,
    way: Way,
) -> Problem:
    """Run the kernels on (first, second, result); a workspace holds NaN when they begin."""
    first, second, result = tensors
    problem = asked(direction, conv, tensors, bias is not None, way)
    call = called(problem, way)
    room = torch.full((call.workspace // 4 + 16,), float("nan"))
    at = -(-room.data_ptr() // 64) * 64
    third = 0 if bias is None else bias.data_ptr()
    addresses = (first.data_ptr(), second.data_ptr(), third, result.data_ptr())
    call(*addresses, at)
    again(call, addresses, result)
    return problem


def again(call: Call, addresses: tuple[int, int, int, int], result: Tensor, side: str = "") -> None:
    """Call with weights that were prepared before; the result must be the same to the bit.

    Args:
        call: What was called.
        addresses: Of first, second, third and result.
        result: What came of it.
        side: Where an unreadable page touches the memory of the weights and the workspace, if any.
    """
    if call.plan.preparation is None:
        return

    def room(size: int) -> Tensor:
        nothing = float("nan")
        if side:
            return flat(max(size // 4, 1), torch.float32, side).fill_(nothing)
        return torch.full((size // 4 + 16,), nothing)[: size // 4]

    before = result.clone()
    prepared, workspace = room(call.plan.preparation.size), room(call.less)
    call = replace(call, keeps=call.plan.preparation)
    if not call.prepare_weights(addresses[1], prepared.data_ptr(), workspace.data_ptr()):
        assert call.otherwise is not None, "weights that the plan cannot treat"
        return
    result.fill_(float("nan"))
    workspace.fill_(float("nan"))
    call(*addresses, workspace.data_ptr(), prepared.data_ptr())
    assert torch.equal(result.nan_to_num(1e30), before.nan_to_num(1e30)), "prepared weights"


def computed(
    direction: str, conv: Conv, first: Tensor, second: Tensor, way: Way, bias: Tensor | None = None,
    layout: str = "contiguous",
) -> Tensor:  # fmt: skip
    """Return a fresh result in a layout, its elements NaN before the kernels run."""
    shape = conv.shapes(direction)[2]
    result = LAYOUTS[layout](torch.full(shape, float("nan"), dtype=first.dtype))
    run(direction, conv, (first, second, result), bias, way)
    return result


def whole(seed: int, shape: tuple[int, ...], largest: int = 4) -> Tensor:
    """Return small whole numbers, whose sums of products are exact in float32."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(-largest, largest + 1, shape, generator=random).float()


def normal(seed: int, shape: tuple[int, ...]) -> Tensor:
    """Return normally distributed numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
