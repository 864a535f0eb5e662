"""Analysis: what a model is layer by layer, what its layers see, and what they cost."""

from faltung.analysis.report import Cost, Summary
from faltung.analysis.rows import Field, Row, Totals
from faltung.analysis.summary import cost, receptive_field, summary

__all__ = [
    "Cost",
    "Field",
    "Row",
    "Summary",
    "Totals",
    "cost",
    "receptive_field",
    "summary",
]
