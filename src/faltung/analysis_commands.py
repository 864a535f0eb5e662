"""Commands that look into a model: its layers, what they see, what they cost."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faltung.errors import ArgumentError

if TYPE_CHECKING:
    from faltung.analysis import Checked, Cost, Field, Summary

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="model.py:Net or package.module:Net, an instance, a class or a function without "
        "arguments, whose code is executed; or the folder of a trained run.",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", help="Sizes such as 1x28x28 or 8x3x224x224; once for each input of the model."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]
Measure = Annotated[
    bool, typer.Option("--measure", help="Also time every layer, forward and backward.")
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Compare the receptive fields with gradients, minutes for a large model; exit with 1 "
        "if they differ.",
    ),
]


def summary(
    model: Model,
    input: Inputs = None,
    as_json: Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
    measure: Measure = False,
    verify: Verify = False,
) -> int:
    """Show a model layer by layer: shapes, windows, receptive fields, parameters, costs."""
    from faltung import analysis

    form = _form(as_json, as_csv, as_markdown, verify)
    built, sizes = _loaded(model, input)
    _print(analysis.summary(built, sizes, measured=measure), form)
    return _verified(analysis.verify(built, sizes)) if verify else 0


def receptive_field(
    model: Model,
    input: Inputs = None,
    as_json: Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
    verify: Verify = False,
) -> int:
    """Show what each layer sees of the image: size, jump and start of its receptive field."""
    from faltung import analysis
    from faltung.analysis import text

    form = _form(as_json, as_csv, as_markdown, verify)
    built, sizes = _loaded(model, input)
    if form in {"json", "csv"}:
        plain = [_plain(field) for field in analysis.receptive_field(built, sizes)]
        typer.echo(json.dumps(plain, indent=1) if form == "json" else text.csv(plain), nl=False)
        return 0
    rows = [row for row in analysis.summary(built, sizes).rows if row.sees != (0, 0)]
    if not rows:
        raise ArgumentError(
            "--input has no rows and columns: receptive fields are those of images; write "
            "channels, height and width"
        )
    typer.echo((text.markdown if as_markdown else text.plain)(text.field_columns(rows)))
    return _verified(analysis.verify(built, sizes)) if verify else 0


def cost(
    model: Model,
    input: Inputs = None,
    as_json: Json = False,
    as_csv: Csv = False,
    as_markdown: Markdown = False,
    measure: Measure = False,
) -> None:
    """Show what a model costs: parameters, MACs, FLOPs, bytes, and times on request."""
    from faltung import analysis

    form = _form(as_json, as_csv, as_markdown, False)
    built, sizes = _loaded(model, input)
    _print(analysis.cost(built, sizes, measured=measure), form)


def _form(as_json: bool, as_csv: bool, as_markdown: bool, verify: bool) -> str:
    asked = {"json": as_json, "csv": as_csv, "markdown": as_markdown}
    chosen = [name for name, wanted in asked.items() if wanted]
    if len(chosen) > 1:
        raise ArgumentError(f"--{' and --'.join(chosen)} are both asked for: choose one")
    if verify and chosen:
        raise ArgumentError(f"--verify prints lines of its own: leave out --{chosen[0]}")
    return chosen[0] if chosen else ""


def _loaded(model: str, given: list[str] | None) -> tuple[Any, list[tuple[int, ...]]]:
    from faltung.analysis.inputs import parsed
    from faltung.analysis.loading import load

    sizes = [parsed(text) for text in given or ()]
    built, known = load(model)
    if not sizes and known is None:
        raise ArgumentError("--input is missing: write the sizes of an image, such as 1x28x28")
    return built, sizes or [known or ()]


def _print(report: "Summary | Cost", form: str) -> None:
    """Print a report: as a table on a terminal, as plain text into a file or a pipe."""
    from rich.console import Console

    console = Console()
    if form:
        forms: dict[str, Callable[[], str]] = {
            "json": report.json,
            "csv": report.csv,
            "markdown": report.markdown,
        }
        typer.echo(forms[form]().rstrip("\n"))
    elif console.is_terminal:
        console.print(report.table(console.width))
        for line in report.foot:
            typer.echo(line)
    else:
        typer.echo(str(report))


def _verified(checked: "Iterable[Checked]") -> int:
    """Print a line for each layer; return 1 where a computed field is not the measured one."""
    wrong = count = 0
    for layer in checked:
        count += 1
        if layer.measured is None:
            typer.echo(f"{layer.path}: has no gradient, nothing to compare")
        elif layer.right:
            rows, columns = max(layer.computed, key=lambda pair: len(pair[0]))
            typer.echo(f"{layer.path}: {len(rows)} x {len(columns)} agrees with the gradients")
        else:
            wrong += 1
            typer.echo(f"{layer.path}: DIFFERS at {layer.cells}")
            typer.echo(f"  computed {layer.computed}\n  measured {layer.measured}")
    typer.echo(f"{count - wrong} of {count} layers agree")
    return 1 if wrong else 0


def _plain(field: "Field") -> dict[str, Any]:
    """Return a field as names and plain values, without its cells."""
    import dataclasses

    whole = dataclasses.asdict(field)
    return {name: value for name, value in whole.items() if not name.endswith("_cells")}


COMMANDS = (summary, receptive_field, cost)
