"""The list of problems: layers of known networks, one `group name text` a line.

`faltung.bench.layer` says how the text of a layer is written.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from faltung.bench.layer import Layer, parse
from faltung.errors import ArgumentError, DataError, FaltungError

LIST = Path(__file__).with_name("problems.txt")
GROUPS = ("dense", "special", "pools")


@dataclass(frozen=True)
class Problem:
    """A layer of the list, with its group and its name."""

    group: str
    name: str
    layer: Layer

    def __str__(self) -> str:
        """Return the problem as a line of the list."""
        return f"{self.group} {self.name} {self.layer}"


def read(file: Path = LIST) -> list[Problem]:
    """Return the problems of a list; empty lines and lines that start with # say nothing.

    Raises:
        DataError: The file cannot be read, or a line is wrong; the message names the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read as a list of problems: {error}") from None
    problems: dict[str, Problem] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        group, name, text = [*line.split(maxsplit=2), "", ""][:3]
        try:
            if group not in GROUPS:
                raise ArgumentError(
                    f"the group is {group!r}: it must be one of {', '.join(GROUPS)}"
                )
            if name in problems:
                raise ArgumentError(f"{name!r} is there twice: give each problem its own name")
            problems[name] = Problem(group, name, parse(text))
        except FaltungError as error:
            raise DataError(f"{file}, line {number}: {error}") from None
    return list(problems.values())


def select(
    problems: Iterable[Problem], match: str = "", groups: Sequence[str] = GROUPS
) -> list[Problem]:
    """Return the problems of some groups whose line a regular expression finds something in.

    Raises:
        ArgumentError: The expression is malformed, or nothing is left.
    """
    try:
        pattern = re.compile(match)
    except re.error as error:
        raise ArgumentError(f"{match!r} is no regular expression: {error}") from None
    chosen = [p for p in problems if p.group in groups and pattern.search(str(p))]
    if not chosen:
        raise ArgumentError(
            f"no problem of the groups {', '.join(groups)} matches {match!r}: use a wider filter"
        )
    return chosen
