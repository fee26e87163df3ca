"""Which token goes where, and how a personal access token is used.

A personal access token is a refresh token: /api/token/refresh/ gives a short-lived one for it, sent as "Bearer". A
legacy token is sent as "Token"; Label Studio refuses it unless the organisation allows such tokens.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from backend.labelstudio.unanswerable import Unanswerable, Unavailable, is_no_word

LINK = "label studio"
LIFETIME = 300.0
"""Seconds that Label Studio's access tokens last, where one does not say."""
MARGIN = 30.0
AGAIN = 2.0
"""Seconds after which a token that was not given is asked for again: who waited meanwhile need not wait anew."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token, and the one address whose origin may see it. given_by: for messages, where it came from."""

    url: str
    token: str = field(repr=False)
    given_by: str

    @property
    def personal(self) -> bool:
        return _claims(self.token) is not None


def origin(url: str | httpx.URL) -> tuple[str, str, int | None]:
    """Scheme, host and port: only what is alike in all three is the same place."""
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port or {"http": 80, "https": 443}.get(parsed.scheme)


@dataclass(slots=True)
class _Access:
    """An access token, from whom one asks for it at a time. failure: why it was not given, told until `again`."""

    asking: threading.Lock = field(default_factory=threading.Lock)
    token: str = ""
    expires: float = 0.0
    failure: Exception | None = None
    again: float = 0.0


class Tokens:
    """Turns credentials into Authorization headers. Access tokens are kept until shortly before they expire.

    Safe from many threads; one asks for a new token while the others wait for it.
    """

    def __init__(self, client: httpx.Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._changing = threading.Lock()
        self._kept: dict[tuple[str, str], _Access] = {}

    def header(self, credentials: Credentials, timeout: float) -> str:
        """After at most about so many seconds. Raises Unanswerable where Label Studio does not take the token, and
        Unavailable or httpx.HTTPError where it does not answer."""
        if not (credentials.token.isascii() and credentials.token.isprintable()):
            raise Unanswerable(
                LINK, f"the token of {credentials.given_by} has characters that no token has: set it anew"
            )
        if not credentials.personal:
            return f"Token {credentials.token}"
        access = self._access(credentials)
        deadline = self._clock() + timeout
        if not access.asking.acquire(timeout=timeout):
            raise Unavailable(f"{credentials.url} takes longer than {timeout:.1f} s to give an access token", LINK)
        try:
            if self._clock() >= access.expires:
                self._renew(access, credentials, deadline)
            return f"Bearer {access.token}"
        finally:
            access.asking.release()

    def forget(self, credentials: Credentials) -> None:
        """Label Studio refused the access token: ask for a new one next time."""
        with self._changing:
            self._kept.pop((credentials.url, credentials.token), None)

    def _access(self, credentials: Credentials) -> _Access:
        with self._changing:
            return self._kept.setdefault((credentials.url, credentials.token), _Access())

    def _renew(self, access: _Access, credentials: Credentials, deadline: float) -> None:
        if access.failure and self._clock() < access.again:
            raise access.failure
        try:
            access.token = self._refreshed(credentials, max(deadline - self._clock(), 0.001))
        except (Unanswerable, httpx.HTTPError) as error:
            access.failure, access.again = error, self._clock() + AGAIN
            raise
        access.failure, access.expires = None, self._clock() + _lifetime(access.token) - MARGIN

    def _refreshed(self, credentials: Credentials, timeout: float) -> str:
        address = f"{credentials.url}/api/token/refresh/"
        answer = self._client.post(address, json={"refresh": credentials.token}, timeout=timeout)
        if is_no_word(answer.status_code):
            raise Unavailable(f"{address} answered {answer.status_code}", LINK)
        if answer.status_code in (400, 401, 403):
            raise Unanswerable(
                LINK,
                f"{address} refused the personal access token of {credentials.given_by} ({answer.status_code}): it has "
                "expired, was revoked, or belongs to another Label Studio; make a new one under Account & Settings",
            )
        try:
            access = answer.json()["access"]
        except (ValueError, KeyError, TypeError):
            access = None
        if not isinstance(access, str) or not access.isascii() or not access.isprintable():
            raise Unanswerable(
                LINK,
                f"{address} answered {answer.status_code} without an access token: is {credentials.url} Label Studio's "
                "address (LABEL_STUDIO_URL)?",
            )
        return access


def _claims(token: str) -> dict[str, object] | None:
    """What a JSON web token says of itself, unchecked; None for a token of another kind."""
    try:
        head, body, _ = token.split(".")
        parts = [json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in (head, body)]
    except ValueError:
        return None
    return parts[1] if all(isinstance(part, dict) for part in parts) else None


def _lifetime(token: str) -> float:
    """Seconds from its making to its end: the clocks of two machines need not agree."""
    claims = _claims(token) or {}
    end, start = claims.get("exp"), claims.get("iat")
    if isinstance(end, int | float) and isinstance(start, int | float):
        return float(end - start)
    return LIFETIME
