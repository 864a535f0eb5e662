"""Run chapters of the tour from the command line: all of them, or those whose numbers are given."""

import argparse
import runpy
from pathlib import Path

import tour

CHAPTERS = sorted(Path(__file__).parent.glob("[0-9][0-9]_*.py"))


def run(chapters: list[Path]) -> None:
    """Run chapters one after another; each prints what it finds and saves its pictures."""
    for chapter in chapters:
        print(f"\n=== {chapter.stem}")
        runpy.run_path(str(chapter), run_name="__main__")


def main() -> None:
    """Read the arguments and run."""
    numbers = [int(chapter.stem[:2]) for chapter in CHAPTERS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "number", nargs="*", type=int, choices=numbers, help="chapters; default all"
    )
    parser.add_argument("--out", type=Path, default=tour.FOLDER, help="folder of the pictures")
    arguments = parser.parse_args()
    tour.FOLDER = arguments.out
    run([c for n, c in zip(numbers, CHAPTERS, strict=True) if n in (arguments.number or numbers)])


if __name__ == "__main__":
    main()
