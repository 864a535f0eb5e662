"""`faltung draw` for models: what they have learned, and what they see of a picture."""

from pathlib import Path
from typing import Annotated, Any

import typer

Out = Annotated[
    Path, typer.Option(help="File to save: .svg, .pdf, .png, .webp; steps also .gif, .html.")
]
Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="Folder of a run, or model.py:Net, which is executed."),
]
Most = Annotated[int, typer.Option(help="How many planes are drawn at most.")]
Dpi = Annotated[float, typer.Option(min=20, max=1200, help="Pixels an inch of a .png or .webp.")]


def kernels(
    model: Model,
    out: Out,
    layer: Annotated[str | None, typer.Option(help="Path of a layer, such as body.0.")] = None,
    most: Most = 64,
    dpi: Dpi = 160,
) -> None:
    """Draw the kernels that a model has learned."""
    from faltung import draw_inputs as inputs
    from faltung import pictures
    from faltung.analysis.loading import load

    inputs.checked(out)
    saved(pictures.kernels(load(model)[0], layer, most=most), out, dpi)


def feature_maps(
    model: Model,
    image: Annotated[Path, typer.Argument(help="A picture.")],
    out: Out,
    layer: Annotated[str, typer.Option(help="Path of a layer, such as body.0.")],
    most: Most = 64,
    dpi: Dpi = 160,
) -> None:
    """Draw the feature maps that a layer of a model makes of a picture."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    inputs.checked(out)
    built, taken, seen = inputs.model_and_picture(model, image)
    figure = pictures.feature_maps(built, taken, layer, most=most, shown_as=seen)
    saved(figure, out, dpi)


def receptive_field(
    model: Model,
    image: Annotated[Path, typer.Argument(help="A picture.")],
    out: Out,
    layer: Annotated[str, typer.Option(help="Path of a row of `faltung summary`.")],
    row: Annotated[int | None, typer.Option(help="Row of the unit; the middle one.")] = None,
    column: Annotated[int | None, typer.Option(help="Column; the middle one.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Runs the heat is the mean of.")] = 8,
    dpi: Dpi = 160,
) -> None:
    """Draw what a unit of a model sees of a picture, and what of it counts."""
    from faltung import draw_inputs as inputs
    from faltung import pictures

    inputs.checked(out)
    built, taken, seen = inputs.model_and_picture(model, image)
    figure = pictures.receptive_field(
        built, taken, layer, row, column, samples=samples, shown_as=seen
    )
    saved(figure, out, dpi)


def saved(drawn: Any, out: Path, dpi: float | None = None) -> None:
    """Save a figure or an animation, and say so."""
    from faltung import draw_inputs as inputs

    typer.echo(f"saved {inputs.save(drawn, out, dpi)}")


COMMANDS = (kernels, feature_maps, receptive_field)
