"""A backend that listens, with a stand-in for the model, and one that always fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.server.app import create_app
from backend.settings import read_settings
from tests.server.standins import loaded


def standin_app(folder: Path) -> ASGIApp:
    return create_app(read_settings(model_dir=folder), loaded)


def watched(app: ASGIApp, seen: Callable[[str], None]) -> ASGIApp:
    """Tells the path of each request when it comes in."""

    async def watching(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen(scope["path"])
        await app(scope, receive, send)

    return watching


def answering(status: int, body: bytes) -> ASGIApp:
    """The same answer to everything but /ready."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        ready = scope["path"] == "/ready"
        start: dict[str, Any] = {"type": "http.response.start", "status": 200 if ready else status, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b'{"status": "READY"}' if ready else body})

    return app


@contextmanager
def listening(app: ASGIApp, lifespan: str = "on") -> Iterator[str]:
    """Serves the app from a thread; yields its address. Whoever connects waits until it has started."""
    door = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, ws="none", lifespan=lifespan)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        door.close()
