"""Which algorithm was the fastest for a problem when it was tuned: a small file beside the kernels.

The file maps text to the name of an algorithm. The text names all that a measurement depends on:
the problem, the CPU, the number of threads, our sources and LLVM. Damage means that nothing is
remembered, never an error; a folder or file that other users can write is not read. The file
appears whole by a rename, so that any number of processes may read and write it; of two that write
in the same moment, the later wins.
"""

import hashlib
import json
import os
import secrets
import stat
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from faltung.compiler import kernel
from faltung.compiler.ownership import fault_of, open_ours
from faltung.compiler.problem import Problem
from faltung.compiler.store import HOUR
from faltung.compiler.target import Target

NAME = "choices.json"
LIMIT = 4096  # choices that are remembered; then the oldest are forgotten
ROOM = LIMIT * 1024  # bytes; a larger file is not ours


class Choices:
    """What is remembered in a folder; the file is read once, at the first question.

    Args:
        folder: Where the file lies; created by the first `remember`, with mode 700.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self._known: dict[str, str] | None = None
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Say what was wrong with the folder or the file when they were last used, or None."""
        return self._trouble

    def recall(self, key: str) -> str | None:
        """Return the name of the algorithm that is remembered under a key, or None."""
        if self._known is None:
            self._known = self._read()
        return self._known.get(key)

    def remember(self, key: str, name: str) -> None:
        """Remember an algorithm; where the system refuses, `trouble` says why."""
        known = self._read()
        if known.get(key) == name:
            self._known = known
            return
        known.pop(key, None)
        known[key] = name
        self._write(known)

    def forget(self, key: str) -> None:
        """Remember nothing under a key; where the system refuses, `trouble` says why."""
        known = self._read()
        if known.pop(key, None) is None:
            self._known = known
        else:
            self._write(known)

    def clear(self) -> int:
        """Forget everything; what is no file of ours stays, and `trouble` says why.

        Returns:
            How many choices were forgotten.
        """
        count, self._known = len(self._read()), {}
        fault = self._folder_fault()
        if fault is not None:
            self._trouble = fault
            return 0
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            self._trouble = self._cannot("removed", error)
            return 0
        self._trouble = None
        return count

    def _read(self) -> dict[str, str]:
        """Return what the file holds, or nothing where it is absent, damaged or not private."""
        self._trouble = self._folder_fault()
        if self._trouble is not None:
            return {}
        try:
            with open(self.path, "rb", opener=open_ours) as file:
                fault = fault_of(self.path, os.fstat(file.fileno()), stat.S_IFREG)
                if fault is not None:
                    self._trouble = f"choices are not read: {self.path} {fault}"
                    return {}
                text = file.read(ROOM + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._trouble = self._cannot("read", error)
            return {}
        return _parsed(text)

    def _write(self, known: dict[str, str]) -> None:
        """Replace the file; a folder that is not private is left alone."""
        text = json.dumps(dict(list(known.items())[-LIMIT:]), indent=1)
        part = self.folder / f"choices.{secrets.token_hex(8)}.unfinished"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._trouble = self._folder_fault()
            if self._trouble is not None:
                return
            with open(part, "xb", opener=open_ours) as file:
                file.write(text.encode())
            part.replace(self.path)
        except OSError as error:
            self._trouble = self._cannot("written", error)
            return
        finally:
            self._sweep(part)
        self._known = _parsed(text.encode())

    def _sweep(self, part: Path) -> None:
        """Remove an unfinished file, and those of processes that died long ago."""
        with suppress(OSError):
            part.unlink(missing_ok=True)
            for other in self.folder.glob("choices.*.unfinished"):
                if self._trouble is None and time.time() - other.lstat().st_mtime > HOUR:
                    other.unlink()

    def _folder_fault(self) -> str | None:
        """Say what forbids to use the folder, or None, also where there is none."""
        try:
            fault = fault_of(self.folder, self.folder.lstat(), stat.S_IFDIR)
        except FileNotFoundError:
            return None
        except OSError as error:
            fault = f"cannot be used: {error.strerror}: let this user create and enter it"
        return None if fault is None else f"no choices are remembered: {self.folder} {fault}"

    def _cannot(self, done: str, error: OSError) -> str:
        remedy = f"remove it, or let this user write in {self.folder}"
        return f"choices cannot be {done}: {self.path}: {error.strerror}: {remedy}"


def choices() -> Choices:
    """Return what is remembered beside the kernels of this user."""
    return _choices(kernel.store().folder)


@cache
def _choices(folder: Path) -> Choices:
    return Choices(folder)


def key(problem: Problem, target: Target, threads: int) -> str:
    """Return the text under which the choice for a problem is remembered.

    People read its beginning; the digest behind it covers every fact, strides and precision too.
    """
    facts = repr((problem, target, threads, kernel.fingerprint()))
    digest = hashlib.sha256(facts.encode()).hexdigest()
    return f"{problem}, {target}, threads {threads}: {digest}"


def _parsed(text: bytes) -> dict[str, str]:
    if len(text) > ROOM:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    kept = [(name, value) for name, value in found.items() if isinstance(value, str)]
    return dict(kept[-LIMIT:])
