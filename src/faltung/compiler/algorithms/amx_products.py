"""float32 products out of bfloat16 products: which pieces meet, and which numbers they can treat.

With a = a0 + a1 + a2 and b = b0 + b1 + b2 (`emit.shorts`), each piece at most 2^-8 of the one
before, six of the nine products a_i b_j are enough for float32: those left out, i + j > 2, come to
at most 2 * 2^-24 + 2^-32 of |a b|. Three products of two pieces leave out a1 b1 and what two pieces
cannot hold: at most 2^-15 of |a b|, and a few millionths of the result where signs are mixed. One
product of numbers rounded to bfloat16 is off by 2^-7 at most.

A unit that takes denormal numbers for zero loses pieces and products below 2^-126. Where the
largest magnitude on either side is at least 2^-48, what is lost of each product stays below 2^-30
of the product of these two largest magnitudes; and where it is at most 2^48, sums of 2^31 products
cannot overflow. Other numbers, infinity and NaN raise a flag, and the call takes another kernel.
"""

from typing import Any

from faltung.compiler.algorithms.argument_block import flag
from faltung.compiler.emit import Code, Program, Variable
from faltung.compiler.problem import Problem

LEAST, LARGEST = 2.0**-48, 2.0**48
LOST, SOME, ENOUGH = 1, 2, 4  # bits of a flag
BITS = 8  # what the flag of the second factor is multiplied by, to lie beside the first's
SMALLEST = 2.0**-149

PRODUCTS = {"highest": 6, "high": 3, "medium": 1}
PIECES = {1: 1, 3: 2, 6: 3}
ORDER = {  # pieces of the left and right side; neighbours share one
    1: ((0, 0),),
    3: ((0, 1), (0, 0), (1, 0)),
    6: ((0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0)),
}


def count(problem: Problem) -> int:
    """Return how many bfloat16 products make one product of a problem."""
    return 1 if problem.kind == "bf16" else PRODUCTS[problem.precision]


def note(code: Code, workspace: Any, *worst: Variable) -> None:
    """Write into this thread's flag what the largest magnitudes of each factor that it met say."""
    total = code.int_variable(0)
    for side, most in enumerate(worst):
        above = code.all_below(most.get(), LARGEST).choose(0, LOST)
        some = code.all_below(most.get(), SMALLEST).choose(0, SOME)
        enough = code.all_below(most.get(), LEAST).choose(0, ENOUGH)
        total.set(total.get() + (above + some + enough) * BITS**side)
    code.store_int(total.get(), flag(code, workspace))


def judge(program: Program, workspace: int, team: int, sides: int = 1) -> None:
    """Write the region that leaves the first flag raised where the numbers cannot be treated.

    Args:
        program: The kernel being written, whose last region has noted.
        workspace: Place of the workspace in the argument block.
        team: Place of the number of threads that the plan asked for.
        sides: How many factors were noted.
    """
    with program.region("judge") as code, code.when(code.thread.equals(0)):
        flags = code.pointer(workspace, "i64")
        met = [[code.int_variable(0) for _ in range(3)] for _ in range(sides)]
        with code.loop(code.argument(team)) as thread:
            held = code.load_int(flags + thread)
            for side, totals in enumerate(met):
                for total, bit in zip(totals, (LOST, SOME, ENOUGH), strict=True):
                    total.set(total.get() + held // (bit * BITS**side) % 2)
            code.store_int(0, flags + thread)
        verdict = code.int_variable(0)
        for lost, some, enough in met:
            small = (some.get() > 0) & enough.get().equals(0)
            verdict.set(((lost.get() > 0) | small).choose(1, verdict.get()))
        code.store_int(verdict.get(), flags)
