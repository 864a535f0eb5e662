"""The conditions under which numbers were taken, for the head of every table."""

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

import faltung
from faltung.compiler.peak import unit_peak
from faltung.ops.watching import float32_precision

SIDE = 1024  # of the square matrices whose product stands in for the peak
REPEATS = 20
RATIOS_IN_WORDS = (
    "above 1 we are faster; ours/torch: our faster format to torch's faster one; ours/best: to the "
    "best peer; nchw/torch, channels_last/torch: one format of ours to torch's faster one; "
    "nchw/nchw, channels_last/channels_last: to torch's same one"
)


@dataclass(frozen=True)
class Peak:
    """What the chip can do in float32 on the threads of the run, and how that was found."""

    gflops: float
    name: str


def measured_peak(peak: Callable[[], float] | None) -> Peak:
    """Return the peak in GFLOP/s.

    Args:
        peak: Measures it with fused multiply-adds; None lets torch multiply matrices instead,
            which comes close from below.
    """
    if peak is not None:
        return Peak(peak(), "fma peak")
    return Peak(_sgemm(), "sgemm")


def _sgemm() -> float:
    a, b = torch.ones(SIDE, SIDE), torch.ones(SIDE, SIDE)
    product = torch.empty(SIDE, SIDE)
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        torch.mm(a, b, out=product)
        best = min(best, time.perf_counter() - began)
    return 2 * SIDE**3 / best / 1e9


def processor() -> str:
    """Return the CPU's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def conditions(
    peak: Peak,
    rounds: int,
    seconds: float,
    peers: Iterable[str],
    absent: dict[str, str],
    dtype: str = "float32",
) -> dict[str, str]:
    """Return what a reader of the numbers must know, by name.

    Args:
        peak: The chip's peak.
        rounds: Samples of each candidate.
        seconds: Limit for one problem and direction.
        peers: Families of candidates that run.
        absent: Families that do not, with the reason.
        dtype: Type of all elements.
    """
    onednn = re.search(r"(?:oneDNN|MKL-DNN)\s+(v[0-9.]+)", torch.__config__.show())
    facts = {
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "load": _load(),
        "python": platform.python_version(),
        "faltung": faltung.__version__,
        "torch": torch.__version__,
        "oneDNN": onednn[1] if onednn else "not there",
        **{name: _version(name) for name in peers if name not in {"ours", "torch", "compile"}},
        **{name: f"absent: {reason}" for name, reason in absent.items()},
        "dtype": dtype,
        "precision": float32_precision(),
        "ONEDNN_MAX_CPU_ISA": os.environ.get("ONEDNN_MAX_CPU_ISA", "not set"),
        **{n: value for n, value in sorted(os.environ.items()) if n.startswith("FALTUNG_")},
        "peak": f"{peak.gflops:.1f} GFLOP/s, {peak.name}",
        "matrix unit": _unit(),
        "rounds": f"{rounds}, interleaved in shuffled order, at most {seconds:g} s a line; median",
        "caches": "not flushed; weights stay the same between calls and may be packed once",
        "ratios": RATIOS_IN_WORDS,
        "flop": "2 a tap of a convolution (1 of a pool), taps on padding included",
        "error": "largest ||y - y64|| / ||y64|| over the tensors of a result, y64 torch in float64",
    }
    if peak.name == "sgemm":
        facts["peak"] += (
            f": torch.mm of {SIDE} x {SIDE}, best of {REPEATS}, a stand-in for the fma peak"
        )
    return facts


def _unit() -> str:
    """Return the peak of the matrix unit, if there is one."""
    found = unit_peak(torch.get_num_threads())
    if not found:
        return "none"
    return f"{found:.0f} GFLOP/s of bfloat16 products; a float32 product takes 6 or 3 of them"


def _load() -> str:
    return f"{os.getloadavg()[0]:.2f} at the start" if hasattr(os, "getloadavg") else "unknown"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"
