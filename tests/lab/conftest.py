"""What the tests of the lab share: the shipped network, a client, a server, a browser."""

import base64
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import uvicorn
from httpx import Client
from playwright.sync_api import Browser, Page, expect, sync_playwright

from faltung.lab.app import create_app
from faltung.lab.fields import CANVAS
from faltung.lab.network import Network, open_network
from faltung.lab.server import Server, listen
from serving import Served

PATIENCE = 20_000  # milliseconds; a busy machine is slow
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def network() -> Network:
    return open_network(None)


@pytest.fixture(scope="session")
def client(network: Network) -> Iterator[Client]:
    """Return a client of a server that runs in a thread of this process."""
    with listen(0) as listening:
        port = listening.getsockname()[1]
        begun = threading.Event()
        app: Any = create_app(network, port)
        server = Server(uvicorn.Config(app, log_level="critical", ws="none"), begun.set)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        assert begun.wait(20)
        with Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as speaking:
            yield speaking
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def stroke() -> str:
    """Return the drawing of a "1": an upright stroke, soft on its left."""
    ink = np.zeros((CANVAS, CANVAS), np.uint8)
    ink[8:56, 30:36] = 255
    ink[8:56, 28:30] = 120
    return base64.b64encode(ink.tobytes()).decode()


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    lab = Served("--port", "0")
    yield lab
    lab.end()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a browser that is installed on this machine, or skip."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)} is found")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """Return an empty page in English; what it complains about fails the test."""
    context = browser.new_context(
        base_url=served.address, locale="en-GB", viewport={"width": 1280, "height": 900}
    )
    tab, complaints = context.new_page(), []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda line: complaints.append(line.text) if _bad(line.text) else None)
    tab.set_default_timeout(PATIENCE)
    yield tab
    context.close()
    assert complaints == []


def _bad(text: str) -> bool:
    return "Content Security Policy" in text or "Uncaught" in text
