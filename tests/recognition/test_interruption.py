"""Ctrl-C: the first is a request, its echo is nothing, a later one ends the process."""

import signal
import time

import pytest

from faltung.recognition.interruption import Interruption, watched


def is_requested(asked: Interruption) -> bool:
    return asked.requested


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_becomes_a_request_and_its_echo_changes_nothing(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with watched() as asked:
        assert not is_requested(asked)
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert is_requested(asked)
    assert signal.getsignal(number) is before


def _twice(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched():
        signal.raise_signal(signal.SIGINT)
        now = time.monotonic() + pause
        monkeypatch.setattr(time, "monotonic", lambda: now)
        signal.raise_signal(signal.SIGINT)


def test_a_later_signal_leaves_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        _twice(1.5, monkeypatch)
    assert signal.getsignal(signal.SIGINT) is before
