"""What a CPU offers to kernels: vectors, registers, caches; it can be told to pretend less.

A target is a plain value. `machine.host` fills one in from what LLVM and the system say; a test or
the setting `FALTUNG_ISA` asks for a lesser one with `pretending`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from faltung.settings import LEVELS

AMX = ("amx-tile", "amx-bf16")
AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma")
NO_TILES = {
    "": "it needs a matrix unit (AMX), and this CPU has none",
    "forbidden": "the system does not let this process use the matrix unit",
}
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Target:
    """A CPU as kernels see it.

    Attributes:
        level: Name of the instruction set that kernels use, one of `LEVELS`.
        cpu: LLVM's name of the CPU that code is scheduled for.
        features: LLVM's feature string, such as "+avx2,+fma,-avx512f".
        lanes: float32 elements in a vector register.
        registers: Number of vector registers.
        l1: Bytes of first-level data cache a core.
        l2: Bytes of second-level cache a core.
        tiles: The matrix unit: "amx", "forbidden" where the system does not let this process use
            it, "interpreted" where plain instructions take its place, "" where there is none.
    """

    level: str
    cpu: str
    features: str
    lanes: int
    registers: int
    l1: int = 32 * 2**10
    l2: int = 512 * 2**10
    tiles: str = ""

    def __str__(self) -> str:
        """Return the target as one line."""
        return f"{self.level} ({self.cpu}, L1 {self.l1 >> 10} KiB, L2 {self.l2 >> 10} KiB)"


def from_features(
    cpu: str,
    features: Mapping[str, bool],
    arm: bool,
    caches: tuple[int, int],
    permitted: Callable[[], bool] = lambda: False,
) -> Target:
    """Return the best target that a CPU with these features supports.

    Args:
        cpu: LLVM's name of the CPU.
        features: LLVM's features of the CPU, name to presence.
        arm: The CPU is a 64-bit ARM, which has 32 registers of 128 bits.
        caches: Bytes of the first-level data cache and of the second level.
        permitted: Asks the system to let this process use the matrix unit, where there is one.
    """
    text = ",".join(("+" if on else "-") + name for name, on in sorted(features.items()))
    best = Target("vector128", cpu, text, 4, 32 if arm else 16, *caches)
    if not arm and all(features.get(name) for name in AVX512):
        wide = replace(best, level="avx512", lanes=16, registers=32)
        if not all(features.get(name) for name in AMX):
            return wide
        if not permitted():
            return replace(wide, tiles="forbidden")
        return replace(wide, level="amx", tiles="amx")
    if not arm and features.get("avx2") and features.get("fma"):
        return replace(best, level="avx2", lanes=8)
    return best


def pretending(target: Target, level: str) -> Target:
    """Return the target as a CPU of a lesser level, or itself where it has no more than that.

    Args:
        target: What there is.
        level: What to pretend, one of `LEVELS`.

    Raises:
        ValueError: There is no such level.
    """
    if LEVELS.index(level) <= LEVELS.index(target.level):
        return target
    if level == "avx512":
        text = re.sub(r"\+amx", "-amx", target.features)
        return replace(target, level=level, features=text, tiles="")
    if level == "avx2":
        text = re.sub(r"\+(avx512|avx10|amx|evex)", r"-\1", target.features)
        return replace(target, level=level, features=text, lanes=8, registers=16, tiles="")
    return replace(target, level=level, cpu="x86-64", features="", lanes=4, registers=16, tiles="")


def cache_sizes(folder: Path = CACHES) -> tuple[int, int]:
    """Return the bytes of first-level data cache and second-level cache, as Linux lists them.

    Where the system does not say, a common small core is assumed (32 KiB and 512 KiB).
    """
    sizes = {1: 32 * 2**10, 2: 512 * 2**10}
    for index in sorted(folder.glob("index*")):
        try:
            kind = (index / "type").read_text(encoding="ascii").strip()
            level = int((index / "level").read_text(encoding="ascii"))
            size = (index / "size").read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if kind != "Instruction" and level in sizes and re.fullmatch(r"\d+K", size):
            sizes[level] = int(size[:-1]) * 2**10
    return sizes[1], sizes[2]
