"""The command `faltung lab`: the page in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from faltung.errors import MissingExtraError

PORT = 8765
NEEDED = ("fastapi", "uvicorn")


def lab(
    port: Annotated[int, typer.Option(help="Port of this machine; 0 takes any free one.")] = PORT,
    run: Annotated[Path | None, typer.Option(help="Folder of a trained run to look into.")] = None,
    opens: Annotated[
        bool | None,
        typer.Option("--open/--no-open", help="Open the page in a browser.", show_default=False),
    ] = None,
) -> None:
    """Serve a page to see convolutions, networks, learning and times in the browser."""
    try:
        from faltung.lab.server import serve  # noqa: PLC0415 (its dependencies are an extra)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in NEEDED:
            raise
        raise MissingExtraError(
            f'the lab needs the package {name}, which is not installed: pip install "faltung[lab]"'
        ) from None
    serve(port, run, opens, typer.echo)
