"""What is seen of each request: one log line, one count, its time. What nobody expected ends here, not in the caller's
hands: a traceback in the log, plain JSON in the answer."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.server import metrics
from backend.server.replies import error_reply

log = structlog.stdlib.get_logger("edgesam.access")

QUIET_PATHS = frozenset({"/", "/health", "/ready", "/metrics", "/learning"})
KNOWN_PATHS = QUIET_PATHS | {"/setup", "/predict", "/webhook", "/train", "/versions"}
CLIENT_GONE = 499
"""nginx's name for a caller who goes away before the request is whole: for the log, since nobody reads an answer."""
SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Eyes:
    """The outermost middleware. A request keeps the X-Request-ID that it brings, if that is a plain word."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, watched)
            except ClientDisconnect:
                status = CLIENT_GONE
            except Exception:
                log.exception("unexpected_error", path=scope["path"])
                if not status:
                    reply = error_reply(
                        500, "server", f"an unexpected error; the log has it under request {request_id}"
                    )
                    await reply(scope, receive, watched)
            finally:
                _tell(scope, status, time.perf_counter() - began)


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if SANE_ID.fullmatch(given) else uuid.uuid4().hex[:16]


def _tell(scope: Scope, status: int, seconds: float) -> None:
    path = scope["path"] if scope["path"] in KNOWN_PATHS else "other"
    metrics.requests.labels(path, scope["method"] if scope["method"] in {"GET", "POST"} else "other", status).inc()
    metrics.request_seconds.labels(path).observe(seconds)
    tell = log.debug if scope["path"] in QUIET_PATHS else log.info
    tell("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 1))
