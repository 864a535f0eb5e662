"""The rows of an analysis as text: plain, Markdown, CSV, and a table for a terminal."""

import csv as csvs
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from faltung.analysis.inputs import shown
from faltung.analysis.rows import Row, Shape, Totals
from faltung.errors import MissingExtraError
from faltung.geometry import ReceptiveField, Sides

if TYPE_CHECKING:
    from rich.table import Table

Columns = dict[str, list[str]]

LEFT = ("layer", "kind")
LEFT_OUT = (
    "FLOPs/byte", "fully connected", "locally connected", "start", "bytes", "sees", "groups",
    "jump", "dilation", "FLOPs", "pad", "parameters", "stride",
)  # fmt: skip
UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def amount(number: float) -> str:
    """Return a number in four digits or so.

    >>> amount(999), amount(4_089_184_256), amount(1_500)
    ('999', '4.089 G', '1.5 k')
    """
    for size, letter in UNITS:
        if number >= size:
            return f"{number / size:.4g} {letter}"
    return f"{number:.4g}"


def _pair(numbers: tuple[int, int] | None) -> str:
    if numbers is None:
        return ""
    return str(numbers[0]) if numbers[0] == numbers[1] else shown(numbers)


def _padding(padding: tuple[Sides, Sides] | None) -> str:
    """Return padding as one number, as height and width, or as ((top, bottom), (left, right))."""
    if padding is None:
        return ""
    (top, bottom), (left, right) = padding
    return (
        _pair((top, left)) if top == bottom and left == right else f"{top},{bottom},{left},{right}"
    )


def _field(row: Row, name: str) -> str:
    pair: tuple[ReceptiveField | None, ReceptiveField | None] = (row.rows, row.columns)
    if pair[0] is None or pair[1] is None:
        return "-"
    return _pair((getattr(pair[0], name), getattr(pair[1], name)))


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _optional(value: int | None) -> str:
    return "" if value is None else amount(value)


def layer_columns(rows: Sequence[Row]) -> Columns:
    """Return all columns of a summary; those that hold nothing are left out."""
    table = {
        "layer": [row.path or "-" for row in rows],
        "kind": [row.name for row in rows],
        "output": [shown(row.output) for row in rows],
        "kernel": [_pair(row.kernel) for row in rows],
        "stride": [_pair(row.stride) for row in rows],
        "pad": [_padding(row.padding) for row in rows],
        "dilation": [_pair(row.dilation) for row in rows],
        "groups": ["" if row.groups is None else str(row.groups) for row in rows],
        "field": [_field(row, "size") for row in rows],
        "jump": [_field(row, "jump") for row in rows],
        "start": [_field(row, "start") for row in rows],
        "sees": [_pair(row.sees) for row in rows],
        "parameters": [f"{row.parameters:,}" if row.parameters else "" for row in rows],
        "fully connected": [_optional(row.fully_connected) for row in rows],
        "locally connected": [_optional(row.locally_connected) for row in rows],
    }
    return _filled({**table, **_costs(rows)})


def cost_columns(rows: Sequence[Row]) -> Columns:
    """Return the columns of a model's costs."""
    table = {
        "layer": [row.path or "-" for row in rows],
        "kind": [row.name for row in rows],
        "parameters": [f"{row.parameters:,}" if row.parameters else "" for row in rows],
    }
    return _filled({**table, **_costs(rows)})


def _costs(rows: Sequence[Row]) -> Columns:
    measured = any(row.forward_ms is not None for row in rows)
    costs = {
        "MACs": [amount(row.macs) if row.macs else "" for row in rows],
        "FLOPs": [amount(row.flops) if row.flops else "" for row in rows],
        "bytes": [amount(row.bytes) if row.bytes else "" for row in rows],
        "FLOPs/byte": [f"{row.intensity:.3g}" if row.flops else "" for row in rows],
    }
    if measured:
        costs["forward ms"] = [_milliseconds(row.forward_ms) for row in rows]
        costs["backward ms"] = [_milliseconds(row.backward_ms) for row in rows]
    return costs


def field_columns(rows: Sequence[Row]) -> Columns:
    """Return the columns about receptive fields."""
    names = ("layer", "kind", "output", "kernel", "stride", "field", "jump", "start", "sees")
    found = layer_columns(rows)
    table = {name: found[name] for name in names if name in found}
    return _filled({**table, "why": [row.why for row in rows]})


def _filled(columns: Columns) -> Columns:
    return {name: cells for name, cells in columns.items() if any(cells)}


def totals(sums: Totals) -> str:
    """Return the sums over a model as one line."""
    frozen = sums.parameters - sums.trainable
    parts = [
        f"{sums.parameters:,} parameters" + (f" ({frozen:,} of them frozen)" if frozen else ""),
        f"{amount(sums.macs)} MACs",
        f"{amount(sums.flops)} FLOPs",
        f"{amount(sums.bytes)} bytes moved",
    ]
    if sums.forward_ms is not None:
        parts.append(f"{sums.forward_ms:.2f} ms forward")
    if sums.backward_ms is not None:
        parts.append(f"{sums.backward_ms:.2f} ms backward")
    return ", ".join(parts)


def inputs(shapes: Sequence[Shape]) -> str:
    """Return the shapes of several inputs."""
    return ", ".join(map(shown, shapes))


def plain(columns: Columns, foot: Sequence[str] = ()) -> str:
    """Return an aligned table and the lines below it."""
    widths = {n: max(len(n), *map(len, cells), 0) for n, cells in columns.items()}
    head = {name: name for name in columns}
    lines = [head, {name: "-" * widths[name] for name in columns}]
    lines += [
        dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
    ]
    aligned = [
        "  ".join(
            line[n].ljust(widths[n]) if n in LEFT else line[n].rjust(widths[n]) for n in columns
        ).rstrip()
        for line in lines
    ]
    return "\n".join([*aligned, "", *foot]).rstrip()


def markdown(columns: Columns, foot: Sequence[str] = ()) -> str:
    """Return a table in GitHub's Markdown and the lines below it."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = ["---" if name in LEFT else "---:" for name in columns]
    body = [line(cells) for cells in zip(*columns.values(), strict=True)]
    below = [part for sentence in foot for part in ("", sentence)]
    return "\n".join([line(list(columns)), line(rule), *body, *below])


def csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV: sizes as 1x3x224x224, a field as three columns."""
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    nested = {name.partition(".")[0] for name in names if "." in name}
    file = io.StringIO()
    writer = csvs.DictWriter(
        file, [n for n in names if n not in nested], extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(flat)
    return file.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{part}": number for part, number in value.items()})
        elif isinstance(value, (tuple, list)):
            plain = all(isinstance(part, int) for part in value)
            found[name] = shown(value) if plain else json.dumps(value)
        else:
            found[name] = value
    return found


def narrowed(columns: Columns, width: int | None) -> tuple[Columns, list[str]]:
    """Return the columns that fit into a width, and the names of those left out for it."""
    kept, gone = dict(columns), []
    for name in LEFT_OUT:
        needed = sum(max(len(n), *map(len, cells), 0) + 3 for n, cells in kept.items()) + 1
        if width is None or needed <= width:
            break
        if kept.pop(name, None) is not None:
            gone.append(name)
    return kept, gone


def rich_table(title: str, columns: Columns, width: int | None = None) -> "Table":
    """Return a table for a terminal of so many characters.

    Raises:
        MissingExtraError: rich is not installed.
    """
    try:
        from rich.table import Table  # noqa: PLC0415 (optional)
        from rich.text import Text  # noqa: PLC0415
    except ImportError:
        raise MissingExtraError(
            "a table for a terminal needs rich, which is not installed: pip install "
            '"faltung[reader]"; str() gives the same in plain text'
        ) from None
    kept, gone = narrowed(columns, width)
    caption = f"left out, for a wider terminal, --csv or --json: {', '.join(gone)}" if gone else ""
    table = Table(title=Text(title), caption=Text(caption) if gone else None)
    for name in kept:
        left = name in LEFT
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for cells in zip(*kept.values(), strict=True):
        table.add_row(*(Text(cell) for cell in cells))
    return table
