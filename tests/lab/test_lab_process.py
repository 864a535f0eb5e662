"""The command as a user runs it: a real process on a real port."""

import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from faltung import cli, lab_command
from faltung.errors import ArgumentError, MissingExtraError
from faltung.lab import server
from faltung.lab.server import listen
from serving import Served

REQUEST = b"POST /api/window HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 5000\r\n\r\n"


def answers(lab: Served) -> bool:
    return httpx.get(f"{lab.address}/api/network", timeout=20).status_code == 200


def test_it_serves_until_ctrl_c() -> None:
    lab = Served("--port", "0")
    assert lab.said.startswith("the lab is at http://127.0.0.1:")
    assert answers(lab)
    assert "server" not in httpx.get(f"{lab.address}/").headers
    with lab.connected():  # a tab that stays open does not hold it
        lab.process.send_signal(signal.SIGINT)
        rest, _ = lab.process.communicate(timeout=30)
    assert lab.process.returncode == 0
    assert rest == "the lab has ended\n"


def test_it_listens_on_this_machine_alone(served: Served) -> None:
    with socket.socket() as other:
        other.settimeout(5)
        assert other.connect_ex(("127.0.0.2", served.port)) != 0


def test_a_port_in_use(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["lab", "--no-open", "--port", str(served.port)]) == 2
    said = capsys.readouterr().err
    sentence = (
        f"error: port is {served.port}, which cannot be had (Address already in use): another"
    )
    assert said.startswith(sentence)
    assert "any free one with --port 0" in said


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(ArgumentError, match=f"port is {port}: it must be 0 to 65535"):
        listen(port)


def test_a_run_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["lab", "--no-open", "--port", "0", "--run", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "best.safetensors does not exist: name the folder of a run" in said


def leave_at_once(lab: Served) -> None:
    lab.connected().close()


def leave_in_the_head(lab: Served) -> None:
    with lab.connected() as line:
        line.sendall(REQUEST[:20])


def leave_in_the_body(lab: Served) -> None:
    with lab.connected() as line:
        line.sendall(REQUEST % lab.port + b'{"input": [[[')


def leave_before_the_answer(lab: Served) -> None:
    body = b'{"text": "ic64ih56oc64kh3ph1"}'
    head = f"POST /api/compare/measure HTTP/1.1\r\nHost: 127.0.0.1:{lab.port}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with lab.connected() as line:
        line.sendall(head.encode() + body)
        time.sleep(0.1)


def send_nonsense(lab: Served) -> None:
    with lab.connected() as line:
        line.sendall(b"\x00\xff no HTTP at all\r\n\r\n")
        assert b"400" in line.recv(100)


@pytest.mark.parametrize(
    "leave",
    [leave_at_once, leave_in_the_head, leave_in_the_body, leave_before_the_answer, send_nonsense],
)
def test_a_browser_that_leaves_breaks_nothing(
    served: Served, leave: Callable[[Served], None]
) -> None:
    leave(served)
    assert answers(served)


def test_paths_as_they_are_sent(served: Served) -> None:
    """Clients tidy paths before they send them; an attacker does not."""
    for path in (b"/../app.py", b"/../../../../etc/passwd", b"//etc/passwd", b"/..\\app.py"):
        with served.connected() as line:
            host = f"Host: 127.0.0.1:{served.port}\r\nConnection: close\r\n\r\n".encode()
            line.sendall(b"GET " + path + b" HTTP/1.1\r\n" + host)
            assert line.recv(100).startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "faltung.lab.server")
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "faltung.lab.app")
    with pytest.raises(MissingExtraError) as raised:
        lab_command.lab()
    assert 'fastapi, which is not installed: pip install "faltung[lab]"' in str(raised.value)


def test_the_page_is_opened_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    said: list[str] = []

    def once(self: Any, sockets: Any) -> None:
        self.ready()
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(server.Server, "run", once)
    server.serve(0, None, True, said.append)
    for _ in range(100):
        if opened:
            break
        time.sleep(0.02)
    assert said[0].startswith(f"the lab is at {opened[0]}")
    assert said[-1] == "the lab has ended"
    server.serve(0, None, False, said.append)
    assert len(opened) == 1
