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
class Report:
    """What is known of a model, layer by layer; `str` shows it as a plain, aligned table.

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

    def columns(self) -> text.Columns:
        """Return the columns of the table, as text."""
        return text.layer_columns(self.rows)

    @property
    def title(self) -> str:
        """The model and its inputs."""
        return f"{self.model} for {text.inputs(self.inputs)}"

    @property
    def foot(self) -> tuple[str, ...]:
        """The lines below the table: totals, then notes."""
        return (f"{self.title}: {text.totals(self.totals)}", *self.notes)

    def __str__(self) -> str:
        """Return the table in plain, aligned text."""
        return text.plain(self.columns(), self.foot)

    def table(self, width: int | None = None) -> "Table":
        """Return the table for `rich.console.Console.print`.

        Args:
            width: Characters it may be wide: less important columns are left out until it fits, and
                its caption names them. None keeps all.

        Raises:
            MissingExtraError: rich is not installed.
        """
        return text.rich_table(self.title, self.columns(), width)

    def markdown(self) -> str:
        """Return the table in Markdown, with totals and notes below it."""
        return text.markdown(self.columns(), self.foot)

    def csv(self) -> str:
        """Return all fields of all rows as CSV with a head line."""
        return text.csv([as_plain(row) for row in self.rows])

    def json(self) -> str:
        """Return everything as JSON; an absent number is null."""
        whole = {**dataclasses.asdict(self), "rows": [as_plain(row) for row in self.rows]}
        return json.dumps(whole, ensure_ascii=False, indent=1)


class Summary(Report):
    """A model's layers for an input, with windows, receptive fields, parameters and costs."""


class Cost(Report):
    """What a model costs for an input, in all and layer by layer."""

    def columns(self) -> text.Columns:
        """Return the columns about parameters, operations, bytes and times."""
        return text.cost_columns(self.rows)
