"""How fast this CPU multiplies and adds at best, with vectors and with a matrix unit.

What any kernel's speed is compared with.
"""

import statistics
import struct
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from faltung.compiler import kernel, machine
from faltung.compiler.emit import Program
from faltung.compiler.emit.tiles import PAIRS, ROWS, Tiles
from faltung.compiler.plan import POINTERS
from faltung.compiler.target import NO_TILES, Target

RUNS = 7
LASTS = 0.05  # seconds of a run
UNROLLED = 4  # steps of every chain in a turn of the loop
FEW, MANY = 12, 24  # chains where there are 16 registers, and where there are 32
SUMS = 4  # registers of a matrix unit that sum
LINE = 16  # float32 elements of a line of a cache


@dataclass(frozen=True)
class Chains:
    """A kernel that only multiplies and adds, in chains that do not wait for each other.

    Place 0 of the argument block is the address of (chains + 2) vectors: where the chains begin, a
    factor and a summand; place 3 that of a cache line for each thread. The first number is that of
    the turns of the loop.

    Attributes:
        count: Number of chains.
    """

    count: int

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("chains") as code:
            source, lanes = code.pointer(0), code.lanes
            starts = [code.load(source + place * lanes) for place in range(self.count)]
            chains = [code.variable(start) for start in starts]
            factor, summand = (code.load(source + (self.count + i) * lanes) for i in (0, 1))
            with code.loop(code.argument(POINTERS)):
                for _ in range(UNROLLED):
                    for chain in chains:
                        chain.set(code.fma(chain.get(), factor, summand))
            total = chains[0].get()
            for chain in chains[1:]:
                total = total + chain.get()
            code.store(total, code.pointer(3) + code.thread * LINE)
        return program


@dataclass(frozen=True)
class Dots:
    """A kernel that only multiplies registers of a matrix unit, in four sums; see `Chains`.

    Place 0 of the argument block is the address of a register of 1024 bytes, place 3 that of four
    for each thread.
    """

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program = Program(target)
        with program.region("dots") as code:
            tiles = Tiles(code)
            tiles.configure()
            for number in range(SUMS):
                tiles.zero(number)
            for number in (SUMS, SUMS + 1):
                tiles.load(number, code.pointer(0), 4 * PAIRS)
            with code.loop(code.argument(POINTERS)):
                for number in [*range(SUMS)] * UNROLLED:
                    tiles.dot(number, SUMS, SUMS + 1)
            to = code.pointer(3) + code.thread * (SUMS * ROWS * PAIRS)
            for number in range(SUMS):
                tiles.store(number, to + number * (ROWS * PAIRS), 4 * PAIRS)
            tiles.release()
        return program


def peak(threads: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the GFLOP/s of float32 fused multiply-adds on registers, two operations each.

    Args:
        threads: Threads of the team, at most.
        clock: Tells the time in seconds.
    """
    target = machine.host()
    team = machine.team_size(threads)
    count = FEW if target.registers <= 16 else MANY
    numbers = [i / 8 for i in range(count * target.lanes)]
    source = array("f", numbers + [0.5] * (2 * target.lanes))  # every chain goes to 1
    turns = _turns(kernel.get(Chains(count), target), source, LINE, team, clock)
    return 2 * target.lanes * count * UNROLLED * turns / 1e9


def unit_peak(
    threads: int, target: Target | None = None, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the GFLOP/s of a matrix unit's bfloat16 products on registers, 0 where there is none.

    Args:
        threads: Threads of the team, at most.
        target: The CPU; None for this one.
        clock: Tells the time in seconds.
    """
    cpu = machine.host() if target is None else target
    if cpu.tiles in NO_TILES:
        return 0.0
    source = array("f", bytes(4 * ROWS * PAIRS))
    team = machine.team_size(threads)
    turns = _turns(kernel.get(Dots(), cpu), source, SUMS * ROWS * PAIRS, team, clock)
    return 2 * ROWS * PAIRS * 2 * PAIRS * SUMS * UNROLLED * turns / 1e9


def _turns(
    made: kernel.Kernel,
    source: "array[float]",
    own: int,
    team: int,
    clock: Callable[[], float],
) -> float:
    """Return the turns of a kernel's loop a second, of all threads; the median of some runs.

    Args:
        made: The kernel.
        source: What it reads.
        own: float32 elements that each thread writes.
        team: Threads of the team.
        clock: Tells the time in seconds.
    """
    results = array("f", bytes(4 * own * team))

    def seconds(turns: int) -> float:
        addresses = (source.buffer_info()[0], 0, 0, results.buffer_info()[0], 0, 0, 0)
        block = struct.pack(f"{POINTERS + 1}q", *addresses, turns)
        began = clock()
        made.code.run(block, team)
        return clock() - began

    turns = 1024
    while (taken := seconds(turns)) < LASTS / 2:
        turns *= 2
    turns = max(int(turns * LASTS / taken), 1)
    return turns * team / statistics.median(seconds(turns) for _ in range(RUNS))
