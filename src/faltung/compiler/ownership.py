"""Files and folders that nobody but the user of this process could have written."""

import os
import shlex
import stat
from pathlib import Path

OURS = "and code is loaded only from what its user alone can write"

# Each system has some of these; O_NONBLOCK: a pipe in a file's place must not block the opening.
_FLAGS = sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))


def fault_of(path: Path, facts: os.stat_result, kind: int) -> str | None:
    """Say what forbids to load code from a file or folder and what to do about it, or None."""
    if stat.S_ISLNK(facts.st_mode):
        return "is a symbolic link, and links are not followed: remove it"
    if stat.S_IFMT(facts.st_mode) != kind:
        return f"is not a {'folder' if kind == stat.S_IFDIR else 'regular file'}: remove it"
    if not hasattr(os, "geteuid"):
        return None
    me, name = os.geteuid(), shlex.quote(str(path))
    if facts.st_uid != me:
        return f"belongs to user {facts.st_uid}, not to {me}, {OURS}: chown {me} {name}"
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = f"{stat.S_IMODE(facts.st_mode):o}"
        remedy = f"chmod {700 if kind == stat.S_IFDIR else 600} {name}"
        return f"can be written by other users (mode {mode}), {OURS}: {remedy}"
    return None


def open_ours(name: str, flags: int) -> int:
    """Open as the `opener` of a file that only its user may read and write; follow no link."""
    return os.open(name, flags | _FLAGS, 0o600)
