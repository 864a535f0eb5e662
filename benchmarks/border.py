"""What the border costs: our functions beside torch's own, interleaved, medians and quartiles.

Run with `.venv/bin/python benchmarks/border.py`; on small images the difference is the price of
checks, padding and dispatch. Whole layers beside other libraries: `make bench`.
"""

import functools
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from faltung import functional as F

PROBLEMS = Path(__file__).with_name("problems.txt")
ROUNDS = 30


def timed(call: Callable[[], Tensor]) -> float:
    """Return the seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(calls: dict[str, Callable[[], Tensor]]) -> dict[str, list[float]]:
    """Return the seconds of every call, the calls taking turns."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(timed(call))
    return times


def main() -> None:
    """Print a line for each problem and memory format."""
    torch.manual_seed(0)
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}, "
        f"{torch.backends.cpu.get_cpu_capability()}; median of {ROUNDS} in us (quartiles)"
    )
    for line in PROBLEMS.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        name, *numbers = line.split()
        n, c, h, w, k, r, stride, padding, groups = map(int, numbers)
        x, weight = torch.randn(n, c, h, w), torch.randn(k, c // groups, r, r)
        for layout in (torch.contiguous_format, torch.channels_last):
            a, b = x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)
            arguments = (a, b, None, stride, padding, 1, groups)
            times = measure(
                {
                    "faltung": functools.partial(F.conv2d, *arguments),
                    "torch": functools.partial(torch.nn.functional.conv2d, *arguments),
                }
            )
            shown = []
            for side, seconds in times.items():
                low, middle, high = (q * 1e6 for q in statistics.quantiles(seconds, n=4))
                shown.append(f"{side} {middle:9.1f} ({low:.1f}-{high:.1f})")
            kind = str(layout).removeprefix("torch.").removesuffix("_format")
            print(f"{name:24} {kind:14} " + "   ".join(shown))


if __name__ == "__main__":
    main()
