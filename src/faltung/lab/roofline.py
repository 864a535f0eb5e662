"""What this machine can do at best: arithmetic in registers, and bytes from memory.

Source: S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual performance model
for multicore architectures" (2009).
"""

import statistics
import time
from dataclasses import dataclass

import torch

from faltung.compiler.peak import peak
from faltung.ops import ours

COPIED = 32 * 2**20  # float32 elements: 128 MiB, more than caches hold
RUNS = 7


@dataclass(frozen=True)
class Roofline:
    """The limits of this machine.

    Attributes:
        gflops: Float32 operations a second in fused multiply-adds, in units of 1e9.
        bandwidth: Bytes a second that a copy reads and writes, in units of 1e9.
        ridge: Operations for each byte from which arithmetic is the limit.
        cpu: What the CPU offers.
    """

    gflops: float
    bandwidth: float
    ridge: float
    cpu: str


def roofline(threads: int) -> Roofline:
    """Measure the limits; arithmetic twice, since whatever else runs only makes it less.

    Args:
        threads: Threads of the team.
    """
    most, rate = max(peak(threads) for _ in range(2)), bandwidth()
    return Roofline(most, rate, most / rate, str(ours.target()))


def bandwidth() -> float:
    """Return the GB/s of a copy between two blocks of memory larger than the caches.

    Bytes read and bytes written count, once each.
    """
    source = torch.ones(COPIED)
    target = torch.empty_like(source)
    target.copy_(source)
    taken = []
    for _ in range(RUNS):
        began = time.perf_counter()
        target.copy_(source)
        taken.append(time.perf_counter() - began)
    return 8 * COPIED / statistics.median(taken) / 1e9
