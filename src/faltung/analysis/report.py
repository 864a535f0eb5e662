"""A summary and the costs of a model: values that show themselves as tables."""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faltung.analysis import text
from faltung.analysis.rows import Row, Shape, Totals, as_plain

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Summary:
    """A model's layers for an input; `str` shows them as a plain table.

    Attributes:
        model: Class of the model.
        inputs: Shapes of the inputs.
        rows: The layers in the order they run.
        totals: Sums over the model.
        notes: What a reader should know, in sentences: how it was captured, what is assumed.
    """

    model: str
    inputs: tuple[Shape, ...]
    rows: tuple[Row, ...]
    totals: Totals
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return the table in plain, aligned text."""
        return text.plain(text.layer_columns(self.rows), self.foot)

    def table(self) -> "Table":
        """Return the table for `rich.console.Console.print`.

        Raises:
            MissingExtraError: rich is not installed.
        """
        return text.rich_table(_title(self), text.layer_columns(self.rows))

    def markdown(self) -> str:
        """Return the table in Markdown, with totals and notes below it."""
        return text.markdown(text.layer_columns(self.rows), self.foot)

    def csv(self) -> str:
        """Return all fields of all rows as CSV with a head line."""
        return text.csv([as_plain(row) for row in self.rows])

    def json(self) -> str:
        """Return everything as JSON; an absent number is null."""
        whole = {
            "model": self.model,
            "inputs": self.inputs,
            "rows": [as_plain(row) for row in self.rows],
            "totals": dataclasses.asdict(self.totals),
            "notes": self.notes,
        }
        return json.dumps(whole, ensure_ascii=False, indent=1)

    @property
    def foot(self) -> tuple[str, ...]:
        """The lines below the table: totals, then notes."""
        return (f"{_title(self)}: {text.totals(self.totals)}", *self.notes)


@dataclass(frozen=True)
class Cost:
    """What a model costs for an input, in all and layer by layer.

    Attributes:
        model: Class of the model.
        inputs: Shapes of the inputs.
        totals: Sums over the model.
        rows: The layers, in the order they run.
        notes: What a reader should know, in sentences.
    """

    model: str
    inputs: tuple[Shape, ...]
    totals: Totals
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return the costs in plain, aligned text."""
        return text.plain(text.cost_columns(self.rows), self.foot)

    @property
    def foot(self) -> tuple[str, ...]:
        """The lines below the table: totals, then notes."""
        return (f"{_title(self)}: {text.totals(self.totals)}", *self.notes)


def _title(report: Summary | Cost) -> str:
    return f"{report.model} for {text.inputs(report.inputs)}"
