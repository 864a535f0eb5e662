"""What the kernels of few outputs share: the numbers of the phases of a strided gradient."""

from types import SimpleNamespace
from typing import Any

from faltung.compiler.emit import Code, Index

PHASE = (
    "tap_rows", "tap_columns", "weight_offset", "packed", "row", "start", "lines", "columns",
    "target_offset",
)  # fmt: skip


def phase(code: Code, first: int, number: Index) -> Any:
    """Return the numbers of a phase; those of the first stand at a place of the argument block."""
    at = first + number * len(PHASE)
    return SimpleNamespace(**{name: code.argument(at + i) for i, name in enumerate(PHASE)})
