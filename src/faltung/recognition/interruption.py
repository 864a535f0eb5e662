"""Ctrl-C and termination, as a flag that a loop looks at: the second one ends the process."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SAME = 1.0  # seconds within which a signal repeats the first: torchrun passes a terminal's on


class Interruption:
    """Whether the process was asked to stop."""

    def __init__(self) -> None:
        self.requested = False
        self._since = 0.0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            self.requested, self._since = True, time.monotonic()
        elif time.monotonic() - self._since > _SAME:
            raise KeyboardInterrupt


@contextmanager
def watched() -> Iterator[Interruption]:
    """Turn SIGINT and SIGTERM into a flag while the block runs; restore the handlers after."""
    interruption = Interruption()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interruption._handle) for number in numbers]
    try:
        yield interruption
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
