"""Answers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

GET_OR_HEAD = ["GET", "HEAD"]
"""Methods of what load balancers and monitors ask."""


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON."""
    body = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS)
    return Response(body, status, headers, media_type="application/json")


def error_reply(status: int, link: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """What went wrong, and which link of the chain between the annotator and the mask is broken."""
    return reply({"error": message, "link": link}, status, headers)
