"""What plans of dense sums reckon with: the clock, and how much work is too little for a team."""

from faltung.compiler.algorithms.argument_block import FLAGS
from faltung.compiler.problem import Problem

HERTZ = 3.2e9  # of a core: what estimates of cycles are turned into seconds with
SERIAL = 600_000  # products below which a second thread costs more than it brings
KEPT = 1 << 13  # packed weights, in elements, from which it pays to keep them


def team(problem: Problem, threads: int) -> int:
    """Return how many of the threads solve a problem."""
    return min(threads, FLAGS // 2) if problem.macs > SERIAL else 1
