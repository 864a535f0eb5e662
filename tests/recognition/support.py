"""What the training tests share: a tiny configuration, and the command as a real process."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from faltung.recognition import checkpoint

TINY = ["--epochs", "2", "--batch", "256", "--set", "widths=[[4],[6]]", "--threads", "1"]


def command(*arguments: str | Path) -> list[str]:
    """Return the command line that runs `faltung` in this interpreter."""
    return [sys.executable, "-m", "faltung", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which a child uses one thread and this checkout."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **more}


def run(*arguments: str | Path, stdin: bytes | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end and return its code and output."""
    done = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, env=environment(), check=False
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def same_weights(one: Path, other: Path) -> bool:
    """Say whether two checkpoints hold the same tensors, to the last bit."""
    left, right = checkpoint.load(one)[0], checkpoint.load(other)[0]
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
