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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="*", type=int, help="chapters; default all")
    parser.add_argument("--out", type=Path, default=tour.FOLDER, help="folder of the pictures")
    arguments = parser.parse_args()
    numbered = {int(chapter.stem[:2]): chapter for chapter in CHAPTERS}
    for number in arguments.number:
        if number not in numbered:
            parser.error(f"there is no chapter {number}: they are 1 to {max(numbered)}")
    tour.FOLDER = arguments.out
    run([numbered[number] for number in arguments.number or numbered])


if __name__ == "__main__":
    main()
