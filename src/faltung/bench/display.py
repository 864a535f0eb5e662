"""How results are shown and written: lines, tables on a terminal, a CSV file."""

import csv
import importlib
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TextIO, TypeVar

from faltung.bench.results import Compared

SHORT = {"channels_last": "cl", "onnxruntime": "onnxrt"}
CLEAR_LINE = "\r\x1b[2K"

R = TypeVar("R", bound=Compared)


def short(name: str) -> str:
    """Return the name of a candidate or a ratio for the head of a column."""
    for long, brief in SHORT.items():
        name = name.replace(long, brief)
    return name


def number(value: float | None, form: str) -> str:
    """Return a number for a line; a dash where there is none."""
    return "-" if value is None else format(value, form)


def empty(value: float | None, form: str) -> str:
    """Return a number for a file; nothing where there is none."""
    return "" if value is None else format(value, form)


def written(
    conditions: Mapping[str, str], headings: Sequence[str], lines: Iterable[Sequence[str]]
) -> str:
    """Return lines as CSV, below the conditions as lines that start with #."""
    text = io.StringIO()
    for name, value in conditions.items():
        text.write(f"# {name}: {value}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(headings)
    writer.writerows(lines)
    return text.getvalue()


class Display(Generic[R]):
    """Shows results: a line at once where the output is a file, tables by group on a terminal.

    Args:
        out: Where to write.
        headings: Headings of the columns; the first two are of words, the others of numbers.
        cells: Returns a result as text, column by column.
        width: Characters of the longest word in the first column.
    """

    def __init__(
        self, out: TextIO, headings: Sequence[str], cells: Callable[[R], Sequence[str]], width: int
    ) -> None:
        self._out, self._headings, self._cells = out, headings, cells
        first, second, *others = (len(head) for head in headings)
        self._widths = [max(width, first, 7), second, *(max(length, 7) for length in others)]
        self._console: Any = _console(out) if out.isatty() else None
        self._waiting: list[R] = []
        self._headed = False

    def say(self, line: str) -> None:
        """Write a line of words."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def conditions(self, facts: Mapping[str, str]) -> None:
        """Write the conditions, a line each."""
        for name, value in facts.items():
            self.say(f"{name}: {value}")

    def starts(self, what: str) -> None:
        """Show on a terminal what is being measured, without a thread that would disturb it."""
        if self._console is not None:
            self._out.write(CLEAR_LINE + what)
            self._out.flush()

    def row(self, row: R) -> None:
        """Show a result."""
        if self._console is not None:
            if self._waiting and self._waiting[-1].group != row.group:
                self._flush()
            self._waiting.append(row)
            return
        if not self._headed:
            self.say(self._line(self._headings))
            self._headed = True
        self.say(self._line(self._cells(row)))
        for complaint in row.complaints():
            self.say(f"  {complaint}")

    def close(self) -> None:
        """Show what is still waiting."""
        if self._waiting:
            self._flush()

    def _line(self, texts: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(texts, self._widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    def _flush(self) -> None:
        module = importlib.import_module("rich.table")
        table = module.Table(title=self._waiting[0].group, box=None, padding=(0, 1, 0, 0))
        for column, heading in enumerate(self._headings):
            side = "left" if column < 2 else "right"
            table.add_column(re.sub("( |/)", r"\1\n", heading), justify=side, overflow="fold")
        for row in self._waiting:
            style = None if row.healthy else "red"
            table.add_row(*self._cells(row), style=style)
        self._out.write(CLEAR_LINE)
        self._console.print(table)
        for row in self._waiting:
            for complaint in row.complaints():
                self._console.print(complaint, markup=False)
        self._waiting = []


def _console(out: TextIO) -> Any:
    """Return rich's console, or None where rich is not installed."""
    try:
        return importlib.import_module("rich.console").Console(file=out, highlight=False)
    except ImportError:
        return None
