"""A kernel on one page: emit → verify → optimise → load → remember.

A kernel is named by its specification and its target. It is looked for in this process, then in
the store on disk, and only then emitted and compiled.
"""

import gc
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from faltung.compiler import machine
from faltung.compiler.plan import Spec
from faltung.compiler.store import Store
from faltung.compiler.target import Target
from faltung.settings import cache_folder

_known: dict[tuple[Spec, Target], "Kernel"] = {}
_lock = threading.Lock()

if hasattr(os, "register_at_fork"):  # a child must not inherit a lock that is held, ours or LLVM's
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


@dataclass(frozen=True, eq=False)
class Kernel:
    """Machine code, and where it came from.

    Attributes:
        code: What runs.
        origin: "compiled" or "store".
        seconds: What it took to get it.
    """

    code: machine.Loaded
    origin: str
    seconds: float


def name(spec: Spec, target: Target) -> str:
    """Return what a kernel is called in the store."""
    return f"{type(spec).__module__}.{spec!r} for {target!r}"


def get(spec: Spec, target: Target) -> Kernel:
    """Return a kernel, ready to run."""
    key = (spec, target)
    found = _known.get(key)
    if found is None:
        with _lock:
            found = _known.get(key)
            if found is None:
                found = _known[key] = _made(spec, target)
    return found


def _made(spec: Spec, target: Target) -> Kernel:
    began = time.perf_counter()
    kept, called = store(), name(spec, target)
    payload = kept.get(called)
    origin = "store"
    if payload is None:
        origin = "compiled"
        with _uncollected():
            text = spec.emit(target).text()
        payload = machine.compile_object(text, target)
        kept.put(called, payload)
    return Kernel(machine.load_object(payload), origin, time.perf_counter() - began)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector still: a kernel is thousands of objects, all of them in use.

    It would go over all objects of the process meanwhile, and take longer than the rest.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def store() -> Store:
    """Return the store of this user, for the sources and the LLVM of this process."""
    return Store(cache_folder() / "kernels", fingerprint())


@cache
def fingerprint() -> str:
    """Return what compiled code depends on besides its name: our sources and LLVM."""
    digest = hashlib.sha256(machine.VERSION.encode())
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
