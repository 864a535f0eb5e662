"""Dense kernels touch their tensors and nothing else, wherever these lie."""

import ctypes
import math
import mmap
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import guarded
from convolving import HOST, TARGETS, Conv, Way, defined, run, whole
from faltung.compiler.problem import DIRECTIONS
from guarded_run import MISTAKES

SCRIPT = Path(__file__).with_name("guarded_run.py")
FAR = 2**31 + 5  # elements
NO_RESERVE = 0x4000  # Linux: pages that nobody touches need no memory to stand behind them


def started(*arguments: str) -> tuple[int, list[str], str]:
    """Return what a process with guarded tensors ends with: its code, lines and errors."""
    if reason := guarded.missing():
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("level", TARGETS)
def test_kernels_stay_in_their_tensors(level: str) -> None:
    code, lines, errors = started(level)
    assert code == 0, f"ended with {code} at: {lines[-1] if lines else 'import'}\n{errors[-2000:]}"
    assert int(lines[-1].split()[0]) == len(lines) - 1 > 90


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_step_beside_a_tensor_ends_the_process(mistake: str) -> None:
    code, lines, _ = started(HOST.level, mistake)
    assert code < 0 or code > 2**30  # a signal, or Windows' access violation
    assert lines[-1].startswith("conv forward mb2ic3ih7iw9oc5kh3ph1")


@pytest.mark.parametrize("side", guarded.SIDES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_guarded_tensors_hold_their_values(side: str, dtype: torch.dtype) -> None:
    if reason := guarded.missing():
        pytest.skip(reason)
    x = whole(1, (2, 3, 5, 8)).to(dtype)[:, ::2, 1:-1, ::3]
    held = guarded.guarded(x, side)
    assert torch.equal(held, x)
    assert held.stride() == x.stride()
    last = held.data_ptr() + (guarded.extent(held)) * held.element_size()
    edge = last if side == "behind" else held.data_ptr()
    assert edge % guarded.PAGE == 0


def test_writes_into_gaps_are_seen() -> None:
    x = guarded.blank(torch.empty(3, 8)[:, :5])
    x.zero_()
    assert guarded.gaps_untouched(x)
    x.as_strided((21,), (1,))[6] = 1
    assert not guarded.gaps_untouched(x)


def vast(x: Tensor, axis: int, channels_last: bool) -> Tensor:
    """Return a copy of a tensor whose elements lie 2**31 elements apart along one axis.

    Its memory is reserved, not used: only the pages that are touched exist.
    """
    order = (1, 3, 2, 0) if channels_last else (3, 2, 1, 0)
    strides, step = [0] * 4, 1
    for near in order:
        strides[near] = step
        step *= x.shape[near]
    strides[axis] = FAR // (x.shape[axis] - 1) + 1
    count = guarded.extent(x.as_strided(x.shape, (0,) * 4)) + sum(
        (n - 1) * s for n, s in zip(x.shape, strides, strict=True)
    )
    try:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
        memory = mmap.mmap(-1, count * 4, flags=flags)
    except (AttributeError, OSError, OverflowError, ValueError) as error:
        pytest.skip(f"this system does not give {count * 4 / 2**30:.1f} GiB of addresses: {error}")
    held = torch.frombuffer(memory, dtype=torch.float32).as_strided(x.shape, strides)
    assert held[(-1,) * 4].data_ptr() - held.data_ptr() > 2**33
    return held.copy_(x)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is known to lend addresses alone")
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_offsets_beyond_32_bits(direction: str, axis: int, channels_last: bool) -> None:
    conv = Conv(2, 1, 3, 2, (6, 5), (2, 3), (2, 1), (1, 0, 1, 1), flip=True)
    assert math.prod(conv.result) > 1
    assert ctypes.sizeof(ctypes.c_void_p) == 8
    shapes = conv.shapes(direction)
    first, second = (whole(i, shape) for i, shape in enumerate(shapes[:2]))
    far = [
        vast(x, axis, channels_last) for x in (first, second, torch.full(shapes[2], float("nan")))
    ]
    run(direction, conv, (far[0], far[1], far[2]), None, Way(HOST))
    assert torch.equal(far[2].double(), defined(direction, conv, first, second))
