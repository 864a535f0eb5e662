"""A fingerprint of memory: what tells whether kept weights are still what they were."""

import ctypes
import struct
from dataclasses import dataclass

from faltung.compiler import kernel
from faltung.compiler.emit import Program
from faltung.compiler.emit.words import add, gathered, mixed, store, zero
from faltung.compiler.plan import POINTERS
from faltung.compiler.target import Target

WORD = 8
TURN = 4  # vectors of a turn of the loop
ALONE = 1 << 17  # bytes below which a second thread costs more than it brings
NUMBERS = struct.Struct(f"{POINTERS + 1}q").pack


@dataclass(frozen=True)
class Digest:
    """The kernel: each thread adds up f(word, place) over its share; see `emit.words`.

    Place 0 of the argument block is the address of the words, place 3 that of a 64-bit sum for each
    thread; the first number is that of the words.
    """

    def emit(self, target: Target) -> Program:
        """Write the kernel."""
        program, lanes = Program(target), target.lanes // 2
        with program.region("digest") as code:
            source, count = code.pointer(0, "i64"), code.argument(POINTERS)
            turn = lanes * TURN
            first, last = code.share((count + (turn - 1)) // turn)
            first, last = first * turn, code.smaller(last * turn, count)
            whole = first + (last - first) // turn * turn
            totals = [zero(code, lanes) for _ in range(TURN)]
            with code.loop(whole, first, turn) as place:
                for n, total in enumerate(totals):
                    here = place + n * lanes
                    add(code, total, mixed(code, source + here, here, lanes))
            rest = zero(code, 1)
            with code.loop(last, whole) as place:
                add(code, rest, mixed(code, source + place, place, 1))
            for total in totals:
                add(code, rest, gathered(code, total.get(), lanes))
            store(code, rest.get(), code.pointer(3, "i64") + code.thread)
        return program


def digest(address: int, size: int, target: Target, threads: int) -> tuple[int, bytes]:
    """Return a fingerprint of memory, which does not depend on the number of threads.

    It is not meant against adversaries: two that differ by chance are equal once in 2^32 cases, or
    less.

    Args:
        address: The first byte.
        size: Bytes.
        target: The CPU.
        threads: Threads of the team, at most.
    """
    team = threads if size > ALONE else 1
    sums = (ctypes.c_uint64 * team)()
    count = size // WORD
    block = NUMBERS(address, 0, 0, ctypes.addressof(sums), 0, 0, 0, count)
    kernel.get(Digest(), target).code.run(block, team)
    rest = ctypes.string_at(address + count * WORD, size % WORD)
    return sum(sums) % 2**64, rest
