"""Analysis: what a model is layer by layer, what its layers see, and what they cost."""

from faltung.analysis.describe import cost, receptive_field, summary
from faltung.analysis.measure import Checked, effective_field, measured_field, verify
from faltung.analysis.report import Cost, Summary
from faltung.analysis.rows import Field, Row, Totals

__all__ = [
    "Checked",
    "Cost",
    "Field",
    "Row",
    "Summary",
    "Totals",
    "cost",
    "effective_field",
    "measured_field",
    "receptive_field",
    "summary",
    "verify",
]
