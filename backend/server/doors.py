"""Who may come in, and with how much."""

from __future__ import annotations

import base64
import binascii
import hmac

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.server.replies import error_reply

OPEN_PATHS = frozenset({"/ready", "/webhook"})
"""/ready is for health checks, which have no password; Label Studio's webhooks come without one."""

MIB = 1024 * 1024


class PasswordDoor:
    """Asks for basic auth. /health asks too: from its 401 Label Studio tells people that the password is wrong.

    request.state.known says whether the caller gave the right one, for what is open to all.
    """

    def __init__(self, app: ASGIApp, user: str, password: str) -> None:
        self.app = app
        both = f"{user}:{password}"
        # RFC 7617 leaves the encoding open: curl and browsers send UTF-8, Python's requests (Label Studio) Latin-1.
        self.expected = [both.encode(), both.encode("latin-1", errors="xmlcharrefreplace")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = _credentials(scope)
        known = any(hmac.compare_digest(given, expected) for expected in self.expected)
        scope.setdefault("state", {})["known"] = known
        if known or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        message = "user or password is missing or wrong: give those of BASIC_AUTH_USER and BASIC_AUTH_PASS"
        refusal = error_reply(401, "password", message, {"WWW-Authenticate": 'Basic realm="edgesam-ls-backend"'})
        await refusal(scope, receive, send)


def _credentials(scope: Scope) -> bytes:
    scheme, _, coded = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(coded.strip(), validate=True)
    except binascii.Error:
        return b""


class BodyDoor:
    """Refuses bodies of more than `limit_mb` MiB: at once where the length is announced, else while they arrive."""

    def __init__(self, app: ASGIApp, limit_mb: int) -> None:
        self.app = app
        self.limit_mb = limit_mb

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.limit_mb * MIB:
            await error_reply(413, "request", self.refusal)(scope, receive, send)
            return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > self.limit_mb * MIB:
                raise HTTPException(413, self.refusal)
            return message

        await self.app(scope, counted, send)

    @property
    def refusal(self) -> str:
        return f"the request is larger than {self.limit_mb} MiB: send fewer tasks at once, or raise EDGESAM_MAX_BODY_MB"
