"""Entry point of the command `faltung`, also as `python -m faltung`."""

import sys

READER = {"typer", "rich", "PIL", "matplotlib", "sklearn", "pooch", "safetensors", "yaml", "jinja2"}


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from faltung.cli import run  # noqa: PLC0415 (its dependencies are an extra)

        return run(sys.argv[1:])
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in READER:
            raise
        sys.stderr.write(
            f"error: the command needs the package {name}, which is not installed: "
            f'pip install "faltung[reader]"\n'
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
