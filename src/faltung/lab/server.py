"""The lab as a process: a port of this machine, a server on it, a browser that is opened."""

import os
import platform
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from faltung.errors import ArgumentError
from faltung.lab.app import create_app
from faltung.lab.network import open_network

HOST = "127.0.0.1"
CONNECTIONS = 128  # at the same time; more are turned away
GRACE = 2  # seconds that open connections get when the server ends
BACKLOG = 64


class Server(uvicorn.Server):
    """A server that says when it answers.

    Args:
        config: What uvicorn is told.
        ready: Called once, when connections are accepted.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self.started:
            self.ready()


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of this machine alone; 0 takes any free one.

    Raises:
        ArgumentError: The port is taken, forbidden, or no port.
    """
    if not 0 <= port <= 65535:
        raise ArgumentError(f"port is {port}: it must be 0 to 65535, where 0 takes any free one")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # a port that another server has just left is free
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ArgumentError(
            f"port is {port}, which cannot be had ({error.strerror}): another program may be using "
            f"it, perhaps another lab; choose one with --port, or any free one with --port 0"
        ) from None
    return listening


def serve(port: int, run: Path | None, opens: bool | None, say: Callable[[str], None]) -> None:
    """Serve the lab until it is interrupted.

    Args:
        port: Where to listen; 0 takes any free port.
        run: Folder of a trained run, or None for the one that comes with the library.
        opens: Open the page in a browser; None does where there is a screen.
        say: Prints a line.

    Raises:
        ArgumentError: The port cannot be had.
        RunError: The run cannot be opened.
    """
    listening = listen(port)
    with listening:
        network = open_network(run)
        port = listening.getsockname()[1]
        address = f"http://{HOST}:{port}/"

        def ready() -> None:
            say(f"the lab is at {address}  (Ctrl-C ends it)")
            if opens or (opens is None and _screen()):
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        config = uvicorn.Config(
            create_app(network, port),
            log_level="warning",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=GRACE,
            server_header=False,
            ws="none",
        )
        with suppress(KeyboardInterrupt):
            Server(config, ready).run(sockets=[listening])
    say("the lab has ended")


def _screen() -> bool:
    """Say whether a browser could be seen."""
    if platform.system() == "Linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
