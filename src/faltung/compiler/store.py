"""Compiled kernels kept on disk: private to the user, atomic, bounded; damage is a miss.

One file a kernel, named by the SHA-256 of fingerprint and key: a line that says what it is, a line
of JSON (fingerprint, key, length of the payload), the SHA-256 of everything else, the payload.
What is read here is run as machine code, so nothing is read that another user could have written.
There are no locks: a file appears whole by a rename, and any file may vanish at any time.
"""

import hashlib
import json
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from faltung.compiler.ownership import fault_of, open_ours
from faltung.errors import ArgumentError

MAGIC = b"faltung kernel 1\n"
HOUR = 3600.0
PART = 64  # the part of what is free, one in so many, that a process puts before it looks again
MOST = 2**20  # bytes that it puts at most before that
KERNEL = re.compile(r"[0-9a-f]{64}\.kernel")
UNFINISHED = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{16}\.unfinished")
File = tuple[Path, os.stat_result]


@dataclass(frozen=True)
class Entry:
    """One kernel on disk.

    Attributes:
        key: The key it was stored under.
        size: Bytes on disk.
        used: Time of its last use, in seconds since 1970, exact to about an hour.
        current: It was stored under the fingerprint of the store that lists it.
    """

    key: str
    size: int
    used: float
    current: bool


class Store:
    """Kernels of one fingerprint in a folder that many processes and threads may share.

    Args:
        folder: Where the kernels lie; created by the first `put`, with mode 700.
        fingerprint: Names all that a kernel depends on besides its key: versions, the CPU.
        limit: Bytes that the folder may hold, kernels of all fingerprints together.

    Raises:
        ArgumentError: The limit is negative.
    """

    def __init__(self, folder: Path, fingerprint: str, limit: int = 256 * 2**20) -> None:
        if limit < 0:
            raise ArgumentError(f"limit is {limit}, but a size in bytes is 0 or more: use 0")
        self.folder = folder
        self.fingerprint = fingerprint
        self.limit = limit
        self._room = 0  # bytes that may be put before the folder is looked through again
        self._folder_trouble: str | None = None
        self._file_trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Say what is wrong with the folder, or with a file since the last good `put`; or None."""
        return self._folder_trouble or self._file_trouble

    def get(self, key: str) -> bytes | None:
        """Return what was stored under a key, or None; a damaged file is deleted."""
        path = self._path(key)
        found = self._read(path) if self._usable() else None
        if found is None:
            return None
        record, facts = found
        unpacked = _unpacked(record)
        if unpacked is None or unpacked[:2] != (self.fingerprint, key):
            self._remove(path)
            return None
        if abs(time.time() - facts.st_mtime) > HOUR:
            with suppress(OSError):
                os.utime(path)
        return unpacked[2]

    def put(self, key: str, payload: bytes) -> None:
        """Store a payload under a key and keep the folder within its limit.

        The folder is looked through by the first `put` of a process, and again when it has put a
        `PART` of what was free then, or `MOST`: looking through thousands of files takes longer
        than compiling a kernel. Processes that put at the same time may exceed the limit by as
        much each, until one of them looks.

        What alone is larger than the limit is not stored. Where the system refuses, nothing is
        stored and `trouble` says why.
        """
        record = _packed(self.fingerprint, key, payload)
        if len(record) > self.limit or not self._usable(create=True):
            return
        path = self._path(key)
        part = self.folder / f"{path.stem}.{secrets.token_hex(8)}.unfinished"
        try:
            with open(part, "xb", opener=open_ours) as file:
                file.write(record)
            part.replace(path)
        except FileNotFoundError:
            return  # another process cleared the folder meanwhile: as if a moment later
        except OSError as error:
            fault = f"{error.strerror}: make room there, or let this user write there"
            self._file_trouble = f"a kernel could not be stored in {self.folder}: {fault}"
            return
        finally:
            with suppress(OSError):
                part.unlink()
        self._file_trouble = None
        self._room -= len(record)
        if self._room < 0:
            self._trim(path)

    def entries(self) -> list[Entry]:
        """Return the undamaged kernels of all fingerprints, those used last first."""
        found = []
        kernels, _ = self._files()
        for path, _ in kernels:
            if (read := self._read(path)) and (unpacked := _unpacked(read[0])):
                facts, current = read[1], unpacked[0] == self.fingerprint
                found.append(Entry(unpacked[1], facts.st_size, facts.st_mtime, current))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def clear(self) -> int:
        """Remove all kernels and unfinished files; links and files of others stay.

        Returns:
            The number of kernels removed.
        """
        kernels, unfinished = self._files()
        for path, _ in unfinished:
            self._remove(path)
        return sum(self._remove(path) for path, _ in kernels)

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(f"{self.fingerprint}\0{key}".encode()).hexdigest()
        return self.folder / f"{name}.kernel"

    def _usable(self, *, create: bool = False) -> bool:
        """Judge the folder; what is wrong with it becomes its trouble, its absence does not."""
        try:
            if create and not os.path.lexists(self.folder):
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fault = fault_of(self.folder, self.folder.lstat(), stat.S_IFDIR)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not create:
                self._folder_trouble = None
                return False
            fault = f"cannot be used: {error.strerror}: let this user create and enter it"
        words = f"no kernels are loaded or stored: {self.folder} {fault}"
        self._folder_trouble = None if fault is None else words
        return fault is None

    def _read(self, path: Path) -> tuple[bytes, os.stat_result] | None:
        """Return content and facts of a file, or None where it is absent or refused."""
        try:
            with open(path, "rb", opener=open_ours) as file:
                facts = os.fstat(file.fileno())
                fault = fault_of(path, facts, stat.S_IFREG)
                if fault is None:
                    return file.read(), facts
        except FileNotFoundError:
            return None
        except OSError as error:
            fault = f"cannot be read: {error.strerror}: remove it"
            with suppress(OSError):
                fault = fault_of(path, path.lstat(), stat.S_IFREG) or fault
        self._file_trouble = f"a stored kernel is not loaded: {path} {fault}"
        return None

    def _files(self) -> tuple[list[File], list[File]]:
        """List kernels and unfinished files; what vanishes meanwhile is left out."""
        kernels: list[File] = []
        unfinished: list[File] = []
        if not self._usable():
            return kernels, unfinished
        with suppress(OSError), os.scandir(self.folder) as files:
            for file in files:
                with suppress(FileNotFoundError):
                    for pattern, found in ((KERNEL, kernels), (UNFINISHED, unfinished)):
                        if pattern.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                            found.append((Path(file.path), file.stat(follow_symlinks=False)))
        return kernels, unfinished

    def _remove(self, path: Path) -> bool:
        """Remove a file; say whether it was there and now is not."""
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            fault = f"{error.strerror}: let this user write in {self.folder}"
            self._file_trouble = f"a stored kernel cannot be removed: {path}: {fault}"
            return False
        return True

    def _trim(self, newest: Path) -> None:
        """Remove stale unfinished files and, above the limit, all but the kernels used last."""
        kernels, unfinished = self._files()
        for path, facts in unfinished:
            if time.time() - facts.st_mtime > HOUR:
                self._remove(path)
        total = sum(facts.st_size for _, facts in kernels)
        if total > self.limit:
            for path, facts in sorted(kernels, key=lambda kernel: kernel[1].st_mtime):
                if total * 10 > self.limit * 9 and path != newest:
                    self._remove(path)
                    total -= 0 if os.path.lexists(path) else facts.st_size
        self._room = min((self.limit - total) // PART, MOST)


def _packed(fingerprint: str, key: str, payload: bytes) -> bytes:
    head = MAGIC + json.dumps([fingerprint, key, len(payload)]).encode() + b"\n"
    digest = hashlib.sha256(head)
    digest.update(payload)
    return b"".join((head, digest.hexdigest().encode(), b"\n", payload))


def _unpacked(record: bytes) -> tuple[str, str, bytes] | None:
    """Return fingerprint, key and payload of a record, or None where any byte is not as written."""
    with suppress(ValueError, RecursionError):
        _, header, _, payload = record.split(b"\n", 3)
        match json.loads(header):
            case [str(fingerprint), str(key), _]:
                if record == _packed(fingerprint, key, payload):
                    return fingerprint, key, payload
    return None
