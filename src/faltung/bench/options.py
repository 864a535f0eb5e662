"""Options of a run: checked before anything is measured, and the threads they ask for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from faltung.accuracy import PRECISIONS
from faltung.errors import ArgumentError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
WORDS = dict(zip(PRECISIONS, ("ieee", "tf32", "bf16"), strict=True))  # torch's newer ones


def check_names(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a name that is not known.

    Raises:
        ArgumentError: There is one.
    """
    for name in given:
        if name not in known:
            raise ArgumentError(f"{option} has {name!r}: it must be of {', '.join(known)}")


def check_numbers(threads: int | None, rounds: int, seconds: float) -> None:
    """Refuse numbers that allow of no measurement.

    Raises:
        ArgumentError: There is one.
    """
    if threads is not None and threads < 1:
        raise ArgumentError(f"--threads is {threads}: it must be at least 1")
    if rounds < 1:
        raise ArgumentError(f"--rounds is {rounds}: it must be at least 1")
    if not seconds > 0:
        raise ArgumentError(f"--seconds is {seconds}: it must be more than 0")


def check_file(option: str, file: Path | None) -> None:
    """Refuse a file that cannot be written when all is measured.

    Raises:
        ArgumentError: Its folder does not exist.
    """
    if file is not None and not file.parent.is_dir():
        raise ArgumentError(f"{option} is {file}: its folder does not exist; create it first")


def counts(option: str, text: str) -> list[int]:
    """Return whole numbers that are written with commas between them, each once.

    Raises:
        ArgumentError: A part is no whole number, or less than 1.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        if not part.strip().isdecimal() or int(part) < 1:
            raise ArgumentError(
                f"{option} has {part!r}: it must be of whole numbers from 1, such as {option} 1,16"
            )
        found[int(part)] = None
    return list(found)


@contextmanager
def on_threads(threads: int | None) -> Iterator[None]:
    """Give torch, and us with it, a number of threads inside a `with` block; None changes nothing.

    Args:
        threads: The number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def in_precision(precision: str | None) -> Iterator[None]:
    """Set torch's dial for convolutions, which ours follows, inside a `with` block.

    Args:
        precision: "highest", "high" or "medium"; None changes nothing.

    Raises:
        ArgumentError: It is none of these, or this torch has no such dial.
    """
    if precision is None:
        yield
        return
    check_names("--precision", [precision], PRECISIONS)
    dial: Any = getattr(torch.backends.mkldnn, "conv", None)
    if dial is None:
        raise ArgumentError(
            f"--precision is {precision}: torch {torch.__version__} has no dial for convolutions "
            f"alone, which came with 2.9; leave it out, or install that"
        )
    before = dial.fp32_precision
    dial.fp32_precision = WORDS[precision]
    try:
        yield
    finally:
        dial.fp32_precision = before
