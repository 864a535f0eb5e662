"""The page's server put together: questions and their answers, errors, files.

Every answer is a pure function of its question and of the network that was opened at the start;
nothing is kept between requests, so that any number of tabs may ask. Few are computed at a time.
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from pydantic import JsonValue
from starlette.exceptions import HTTPException

from faltung.errors import FaltungError
from faltung.lab import cells, compare, learn, photo, reading, unit, window
from faltung.lab.fields import Asked, Short, Unavailable
from faltung.lab.guard import App, Guard, body_of
from faltung.lab.network import Network, Sample
from faltung.matrices import parse_matrix

STATIC = Path(__file__).parent / "static"
AT_ONCE = 4  # requests that are computed at the same time; the others wait
_SHOWN = 60  # characters of a value that is refused


class MatrixAsked(Asked):
    """Numbers as they are typed: ',' between the columns, ';' between the rows."""

    text: Short


def create_app(network: Network, port: int) -> App:
    """Return the server of the page.

    Args:
        network: What the network view shows.
        port: Where the server will listen; requests must name it.
    """
    app = FastAPI(openapi_url=None, lifespan=_few_at_once)
    _answer_errors(app)
    _answer_window(app)
    _answer_network(app, network)
    _answer_measurements(app)
    app.mount("/", StaticFiles(directory=STATIC, html=True))
    return Guard(app, port, {"/api/photo": photo.LARGEST})


@asynccontextmanager
async def _few_at_once(_: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = AT_ONCE
    yield


def _answer_window(app: FastAPI) -> None:
    @app.post("/api/window")
    def _(asked: window.WindowAsked) -> window.Slid:
        return window.slide(asked)

    @app.post("/api/window/output")
    def _(asked: cells.CellAsked) -> cells.OutputCell:
        return cells.output_cell(asked)

    @app.post("/api/window/input")
    def _(asked: cells.CellAsked) -> cells.InputCell:
        return cells.input_cell(asked)

    @app.post("/api/matrix")
    def _(asked: MatrixAsked) -> list[list[float]]:
        return parse_matrix("kernel", asked.text)

    @app.post("/api/photo")
    async def _(request: Request, side: int = 16, colour: bool = False) -> photo.Photo:
        content = await request.body()
        return await anyio.to_thread.run_sync(photo.reduce, content, side, colour)

    @app.post("/api/learn")
    def _(asked: learn.LearnAsked) -> learn.Learned:
        return learn.learn(asked)


def _answer_network(app: FastAPI, network: Network) -> None:
    @app.get("/api/network")
    def _() -> dict[str, Any]:
        return {
            "name": network.name,
            "classes": network.run.classes,
            "size": network.run.frame.size,
            "samples": network.samples,
        }

    @app.get("/api/digits")
    def _() -> tuple[Sample, ...]:
        return network.samples

    @app.post("/api/network/read")
    def _(asked: reading.ReadAsked) -> reading.Read:
        return reading.read(network, asked)

    @app.post("/api/network/unit")
    def _(asked: unit.UnitAsked) -> unit.UnitSeen:
        return unit.look(network, asked)


def _answer_measurements(app: FastAPI) -> None:
    measuring = threading.Lock()

    @app.post("/api/compare/explain")
    def _(asked: compare.CompareAsked) -> compare.Explained:
        return compare.explain(asked)

    @app.post("/api/compare/measure")
    def _(asked: compare.CompareAsked) -> compare.Compared:
        if not measuring.acquire(blocking=False):
            raise Unavailable(
                "another measurement is running, and two at once would disturb each other: wait a "
                "few seconds and start this one again"
            )
        try:
            return compare.compare(asked)
        finally:
            measuring.release()


def _answer_errors(app: FastAPI) -> None:
    def said(status: int, kind: str, message: str) -> Response:
        return Response(body_of(kind, message), status, media_type="application/json")

    @app.exception_handler(FaltungError)
    async def _(_: Request, error: FaltungError) -> Response:
        status = 409 if isinstance(error, Unavailable) else 422
        return said(status, type(error).__name__, str(error))

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> Response:
        return said(422, "Malformed", _sentence(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        words = {404: "there is no such page", 405: "this is asked in another way"}
        what = words.get(error.status_code, str(error.detail))
        return said(error.status_code, "Refused", f"{request.url.path[:_SHOWN]}: {what}")

    @app.exception_handler(Exception)
    async def _(_: Request, error: Exception) -> Response:
        told = "the lab failed, which is a fault of its own: its terminal says where; please report"
        answer = said(500, type(error).__name__, told)
        answer.headers["Connection"] = "close"  # as the server will: nothing may be sent there
        return answer

    @app.exception_handler(RecursionError)
    async def _(_: Request, error: RecursionError) -> Response:
        return said(422, "Malformed", "the body is nested too deeply: send plain tables of numbers")


def _sentence(fault: Any) -> str:
    """Return one fault of a request as a sentence: the field, its value, the rule."""
    if fault["type"] == "json_invalid":
        return f"the body is no JSON: {fault.get('ctx', {}).get('error', fault['msg'])}"
    place = ".".join(str(part) for part in fault["loc"] if part != "body") or "the body"
    if fault["type"] == "missing":
        return f"{place} is missing: send it"
    value = _shown(fault.get("input"))
    return f"{place} is {value}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def _shown(value: JsonValue) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
