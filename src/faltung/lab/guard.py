"""What stands before the page's server: who may ask, how much may be sent, what a page may do.

The server listens on this machine alone; still any web page open in the user's browser could send
requests to it, or reach it under a name of its own (DNS rebinding). So only requests that name this
server as their host are heard, and none from another origin.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LARGEST = 256 * 1024  # bytes of a body of JSON
DRAINED = 8  # times as much is read and thrown away; what is larger still is cut off
PATIENCE = 20.0  # seconds within which a body must have come

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request that is not let in, and the answer to it.

    Args:
        status: The HTTP status.
        message: Why, and what would be let in.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def body_of(kind: str, message: str) -> bytes:
    """Return an error as every answer of the server tells it."""
    return json.dumps({"error": {"kind": kind, "message": message}}).encode()


class Guard:
    """Lets in what this server's own page sends, reads bodies whole, and adds headers.

    Args:
        app: What answers.
        port: Where the server listens.
        larger: Bytes of a body that a path may have, where it is more than `LARGEST`.
    """

    def __init__(self, app: App, port: int, larger: dict[str, int]) -> None:
        self.app, self.larger = app, larger
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self.hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI application."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        try:
            try:
                self._let_in(scope)
            finally:  # what is closed with a body unread is reset, and the answer may be lost
                body = await self._body(scope, receive)
        except Refusal as refusal:
            await _refuse(refusal, sending)
            return
        await self.app(scope, _told(body, receive), sending)

    def _let_in(self, scope: Message) -> None:
        """Require that the request names this server, and comes from its own page or from none."""
        told = _headers(scope)
        host, origin = told.get("host", []), told.get("origin", [])
        if len(host) != 1 or host[0].lower() not in self.hosts:
            names = " or ".join(sorted(self.hosts))
            raise Refusal(
                403, f"the request names the host {', '.join(host)!r}: this server is {names}"
            )
        allowed = {f"http://{name}" for name in self.hosts}
        if any(sender.lower() not in allowed for sender in origin):
            raise Refusal(
                403,
                f"the request comes from {', '.join(origin)!r}: only the lab's own page is "
                f"answered; open http://{host[0]}/ itself",
            )
        site = told.get("sec-fetch-site", ["none"])[0]
        navigates = told.get("sec-fetch-mode", [""])[0] == "navigate" and scope["method"] == "GET"
        if site not in {"none", "same-origin"} and not navigates:
            raise Refusal(
                403, f"the request comes from another site ({site}): open http://{host[0]}/ itself"
            )

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        """Read the whole body, unless it is too large or too slow."""
        most = self.larger.get(scope["path"], LARGEST)
        said = _headers(scope).get("content-length", ["0"])[0]
        if said.isdecimal() and int(said[:20]) > DRAINED * most:
            raise _too_large(most)
        try:
            return await asyncio.wait_for(_read(receive, most), PATIENCE)
        except asyncio.TimeoutError:
            raise Refusal(
                408, f"the body did not come within {PATIENCE:g} s: send it again"
            ) from None


def _headers(scope: Message) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"the body has more than {most:,} bytes, which is the most that is taken")


async def _read(receive: Receive, most: int) -> bytes:
    """Return a body; one that is too large is read to its end, since browsers listen only then."""
    body, size, more = bytearray(), 0, True
    while more and size <= DRAINED * most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        piece = message.get("body", b"")
        size += len(piece)
        if size <= most:
            body += piece
        more = message.get("more_body", False)
    if size > most:
        raise _too_large(most)
    return bytes(body)


def _told(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body that was read, and then what comes after it."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


async def _refuse(refusal: Refusal, send: Send) -> None:
    content = body_of("Refused", refusal.message)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
