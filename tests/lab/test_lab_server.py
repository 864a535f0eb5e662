"""What the server refuses, and what it is not disturbed by."""

import asyncio
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx import Client, Response
from PIL import Image

from faltung.lab import compare, photo
from faltung.lab.guard import LARGEST, Guard, Message
from faltung.lab.roofline import Roofline

SEEDS = {"input": [[[0, 1, 2], [3, 4, 5], [6, 7, 8]]], "kernel": [[[[0, 1], [2, 3]]]]}


def fault(answer: Response) -> str:
    """Return the sentence of a refusal."""
    message: str = answer.json()["error"]["message"]
    return message


def test_the_page_is_there_and_may_do_nothing_but_ask_its_server(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "Faltung" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/api/network"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1:1", "", "[::1]"])
def test_another_name_for_this_server_is_refused(client: Client, path: str, host: str) -> None:
    answer = client.get(path, headers={"host": host})
    assert answer.status_code in {400, 403}
    if answer.status_code == 403:
        assert f"the request names the host {host!r}: this server is 127.0.0.1:" in fault(answer)


def test_localhost_is_this_server_too(client: Client) -> None:
    host = f"localhost:{client.base_url.port}"
    headers = {"host": host, "origin": f"http://{host}"}
    assert client.post("/api/window", json=SEEDS, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8765"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
    ids=str,
)
def test_another_origin_is_refused(client: Client, headers: dict[str, str]) -> None:
    answer = client.post("/api/window", json=SEEDS, headers=headers)
    assert answer.status_code == 403
    assert "the request comes from" in fault(answer)


def test_the_body_of_a_refused_request_is_read_first() -> None:
    """Closing a connection with unread data resets it, and the answer may be lost."""
    pieces = [{"type": "http.request", "body": b"[1,", "more_body": True}]
    pieces += [{"type": "http.request", "body": b"2]", "more_body": False}]
    sent: list[tuple[str, int]] = []

    async def receive() -> Message:
        return pieces.pop(0)

    async def send(message: Message) -> None:
        sent.append((message["type"], len(pieces)))

    async def app(*_: Any) -> None:
        raise AssertionError("it was let in")

    headers = [(b"host", b"localhost:1"), (b"origin", b"http://evil.example")]
    scope = {"type": "http", "method": "POST", "path": "/api/window", "headers": headers}
    with ThreadPoolExecutor(1) as thread:  # this one may have a loop that runs: the browser's
        thread.submit(asyncio.run, Guard(app, 1, {})(scope, receive, send)).result()
    assert sent == [("http.response.start", 0), ("http.response.body", 0)]


def test_a_link_on_another_page_may_lead_here(client: Client) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.post("/api/window", json=SEEDS, headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the body is missing"),
        (b"{", "the body is no JSON"),
        (b"[1]", "the body is [1]: input should be a valid dictionary"),
        (b"\xff\xfe", "the body"),
        (b"{}", "input is missing"),
        (
            b'{"input": [[["1"]]], "kernel": [[[[1]]]]}',
            "input.0.0.0 is '1': input should be a valid",
        ),
        (b'{"input": [[[NaN]]], "kernel": [[[[1]]]]}', "input.0.0.0 is nan"),
        (b'{"input": [[[1e400]]], "kernel": [[[[1]]]]}', "input.0.0.0 is inf"),
        (b'{"input": [[[1e10]]], "kernel": [[[[1]]]]}', "input should be less than or equal to"),
        (b'{"input": [], "kernel": [[[[1]]]]}', "input is []: list should have at least 1 item"),
        (b'{"input": [[[]]], "kernel": [[[[1]]]]}', "input.0.0 is []: list should have at least 1"),
        (b'{"input": [[[1]]], "kernel": [[[[1]]]], "more": 1}', "more is 1: extra inputs"),
        (b'{"input": [[[1]]], "kernel": [[[[1]]]], "flip": 1}', "flip is 1: input should be a"),
        (b"[" * 100_000, ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_malformed_bodies(client: Client, body: bytes, sentence: str) -> None:
    headers = {"content-type": "application/json"}
    answer = client.post("/api/window", content=body, headers=headers)
    assert answer.status_code in {400, 422}
    assert sentence in fault(answer)
    assert len(fault(answer)) < 300


def test_a_form_is_no_question(client: Client) -> None:
    answer = client.post("/api/window", data={"input": "1"})
    assert answer.status_code == 422


def test_large_bodies(client: Client) -> None:
    body = json.dumps({**SEEDS, "padding": " " * LARGEST}).encode()
    answer = client.post("/api/window", content=body)
    assert answer.status_code == 413
    assert fault(answer).startswith("the body has more than 262,144 bytes")
    pieces = (body[start : start + 4096] for start in range(0, len(body), 4096))
    assert client.post("/api/window", content=pieces).status_code == 413
    assert client.post("/api/photo", content=b"x" * (photo.LARGEST + 1)).status_code == 413


def test_a_body_beyond_all_measure_is_cut_off(client: Client) -> None:
    port = client.base_url.port
    head = (
        f"POST /api/window HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {10**12}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port or 0), timeout=20) as line:
        line.sendall(head.encode() + b"{")
        assert line.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "path",
    ["/../app.py", "/..%2fapp.py", "/%2e%2e/app.py", "/static/../../app.py", "//etc/passwd",
     "/..%5capp.py", "/%00", "/nothing.js", "/api/nothing", "/docs", "/openapi.json"],
)  # fmt: skip
def test_paths_that_lead_elsewhere(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "there is no such page" in fault(answer)


def test_another_method(client: Client) -> None:
    answer = client.get("/api/window")
    assert answer.status_code in {404, 405}
    assert client.delete("/api/network").status_code == 405


def photo_of(size: tuple[int, int], colour: Any = (255, 0, 0)) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, "PNG")
    return content.getvalue()


def test_a_photo_becomes_numbers(client: Client) -> None:
    answer = client.post("/api/photo?side=8&colour=true", content=photo_of((40, 20)))
    red, green, blue = answer.json()["input"]
    assert red == [[255.0] * 8] * 4
    assert green == blue == [[0.0] * 8] * 4
    (grey,) = client.post("/api/photo?side=8", content=photo_of((40, 20))).json()["input"]
    assert grey == [[76.0] * 8] * 4


@pytest.mark.parametrize(
    ("query", "content", "sentence"),
    [
        ("", b"", "the photo is empty (0 bytes)"),
        ("", b"no picture", "the photo is not an image, or is damaged"),
        ("", photo_of((9, 9))[:45], "the photo"),
        ("?side=33", photo_of((9, 9)), "side is 33: it must be 2 to 32"),
        ("?side=x", photo_of((9, 9)), "query.side is 'x': input should be a valid integer"),
        ("", photo_of((8000, 8000)), "more than the 50,000,000 that are read"),
    ],
    ids=["empty", "text", "cut", "side", "word", "bomb"],
)
def test_photos_that_are_none(client: Client, query: str, content: bytes, sentence: str) -> None:
    answer = client.post(f"/api/photo{query}", content=content)
    assert answer.status_code == 422
    assert sentence in fault(answer)


def test_many_tabs_at_once(client: Client, stroke: str) -> None:
    """Each of many that ask at once gets the answer to its own question."""
    asked = [{**SEEDS, "kernel": [[[[n, 0], [0, 1]]]]} for n in range(40)]
    answers: dict[int, list[list[list[float]]]] = {}

    def ask(n: int) -> None:
        with Client(base_url=client.base_url, timeout=60) as tab:
            tab.post("/api/network/read", json={"drawing": stroke}).raise_for_status()
            answers[n] = tab.post("/api/window", json=asked[n]).json()["output"]

    tabs = [threading.Thread(target=ask, args=(n,)) for n in range(40)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(60)
    assert answers == {n: [[[4, n + 5], [3 * n + 7, 4 * n + 8]]] for n in range(40)}


def test_one_measurement_at_a_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(asked: compare.CompareAsked) -> Any:
        entered.set()
        assert leave.wait(30)
        return compare.Compared([], Roofline(1, 1, 1, asked.text), 1, 1)

    monkeypatch.setattr(compare, "compare", slow)
    statuses: list[int] = []

    def first() -> None:
        with Client(base_url=client.base_url, timeout=60) as tab:
            statuses.append(tab.post("/api/compare/measure", json={"text": "a"}).status_code)

    running = threading.Thread(target=first)
    running.start()
    assert entered.wait(30)
    busy = client.post("/api/compare/measure", json={"text": "b"})
    leave.set()
    running.join(30)
    assert busy.status_code == 409
    assert fault(busy).startswith("another measurement is running")
    assert statuses == [200]
    entered.clear()
    assert client.post("/api/compare/measure", json={"text": "c"}).status_code == 200


def test_a_fault_of_the_lab_is_one_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(compare, "explain", failing)
    answer = client.post("/api/compare/explain", json={"text": "a"})
    assert answer.status_code == 500
    assert fault(answer).startswith("the lab failed, which is a fault of its own")
    assert answer.headers["connection"] == "close"
    assert client.get("/api/network").status_code == 200


def test_a_slow_body_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faltung.lab.guard.PATIENCE", 0.2)

    def dripping() -> Any:
        yield b"{"
        time.sleep(0.6)
        yield b"}"

    answer = client.post("/api/window", content=dripping())
    assert answer.status_code == 408
    assert fault(answer).startswith("the body did not come within 0.2 s")
