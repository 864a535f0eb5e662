"""Correlations that read the same and write elements between each other's: made in one call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from faltung.compiler.algorithms.correlation import Correlation


@dataclass(frozen=True)
class Interleaved:
    """Correlations that read the same and write elements between each other's.

    Attributes:
        count: How many there are, row by row.
        columns: Those of a row.
        row: Elements of the target from one row of them to the next.
        column: Elements of the target from one to the next.
    """

    count: int = 1
    columns: int = 1
    row: int = 0
    column: int = 0


def interleaved(jobs: Sequence[Correlation]) -> Interleaved | None:
    """Return how correlations lie that only differ in weights and in where their targets begin."""
    alike = {
        replace(job, target=(*job.target[:4], 0), weights=(*job.weights[:5], 0)) for job in jobs
    }
    starts = [job.target[4] for job in jobs]
    if len(alike) > 1 or len(jobs) < 2:
        return None
    column = starts[1] - starts[0]
    columns = next(
        (n for n in range(1, len(jobs)) if starts[n] != starts[0] + n * column), len(jobs)
    )
    row = starts[columns] - starts[0] if columns < len(jobs) else 0
    expected = [starts[0] + n // columns * row + n % columns * column for n in range(len(jobs))]
    return Interleaved(len(jobs), columns, row, column) if starts == expected else None
