"""What float32 means in convolutions: torch's dial, and a `with` block that turns ours alone.

| asked | promise, relative to float64 (norm of the error by norm of the result) |
|---|---|
| "highest" | as good as torch's own float32 kernels on the same data, within a factor of 2 |
| "high" | 1e-5 for data of mixed sign, 2^-15 at most: that of sums of two bfloat16 numbers |
| "medium" | 2^-7 at most: that of bfloat16 |

Less precision than asked for is never taken; more is, where less would be no faster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from faltung.errors import ArgumentError

PROMISES = {
    "highest": "an error within twice that of torch's own float32 kernels",
    "high": "an error of at most 2^-15 of what is summed, about 5e-6 where signs are mixed",
    "medium": "an error of at most 2^-7 of what is summed, that of bfloat16",
}
PRECISIONS = tuple(PROMISES)

_asked: ContextVar[str | None] = ContextVar("precision", default=None)


@contextmanager
def precision(asked: str) -> Iterator[None]:
    """Say what float32 means in this library's convolutions inside a `with` block.

    It goes before torch's settings, and holds for the thread (or task) that enters the block: for
    all that it computes inside, forward or backward. Elsewhere, where it says anything,
    `torch.backends.mkldnn.conv.fp32_precision` counts, else `torch.get_float32_matmul_precision()`.

    Args:
        asked: "highest", "high" or "medium", torch's words; see the table of this module.

    Raises:
        ArgumentError: It is none of these.
    """
    if asked not in PRECISIONS:
        words = ", ".join(map(repr, PRECISIONS))
        raise ArgumentError(f"precision is {asked!r}: it must be one of {words}")
    before = _asked.set(asked)
    try:
        yield
    finally:
        _asked.reset(before)


def asked() -> str | None:
    """Return what the innermost `with precision(…)` block asks for, or None outside of any."""
    return _asked.get()
