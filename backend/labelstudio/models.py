"""Backends that are connected to a project ("models" on its page), as Label Studio's API writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from backend.labelstudio.tokens import LINK
from backend.labelstudio.unanswerable import Unanswerable

CONNECTED = "Connected"
MOST_WORDS = 400
"""Letters: a refused prediction is quoted whole."""


@dataclass(frozen=True, slots=True)
class Model:
    """state: CONNECTED, or another word of Label Studio's; error: why. version: what the backend told it last."""

    number: int
    url: str
    interactive: bool
    state: str
    error: str
    version: str


@dataclass(frozen=True, slots=True)
class Connecting:
    """How a backend is to be connected. url: as Label Studio reaches it. user, password: where it asks for them."""

    url: str
    user: str | None
    password: str | None = field(repr=False)

    def body(self, project: int) -> dict[str, Any]:
        """What the API is sent."""
        about: dict[str, Any] = {"project": project, "url": self.url, "is_interactive": True}
        if self.user is None:
            return about
        password = {"basic_auth_user": self.user, "basic_auth_pass": self.password}
        return about | {"auth_method": "BASIC_AUTH"} | password


def models_in(answer: Any) -> list[Model]:
    """What the API lists. Raises Unanswerable where it is something else."""
    try:
        return [
            Model(
                number=int(one["id"]),
                url=str(one["url"]),
                interactive=bool(one["is_interactive"]),
                state=str(one["readable_state"]),
                error=str(one.get("error_message") or ""),
                version=str(one.get("model_version") or ""),
            )
            for one in answer
        ]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise Unanswerable(LINK, f"Label Studio's answer is no list of models: {str(answer)[:200]}") from None


def refusal_in(answer: httpx.Response) -> str:
    """Label Studio's own words of a refusal, cut and without their tags; empty where there are none."""
    try:
        told = answer.json()
    except ValueError:
        return ""
    if not isinstance(told, dict):
        return ""
    words = " ".join(_texts_in(told.get("validation_errors"))) or str(told.get("detail") or "")
    return re.sub(r"<[^>]*>", "", words).strip()[:MOST_WORDS]


def _texts_in(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
    return [text for one in inner for text in _texts_in(one)]
