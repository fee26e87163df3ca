"""Label Studio's own API, as far as we need it: which token goes where, how a personal access token is used, and what
is asked about projects and tasks.

A personal access token is a refresh token: /api/token/refresh/ gives a short-lived one for it, sent as "Bearer". A
legacy token is sent as "Token"; Label Studio refuses it unless the organisation allows such tokens.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from backend.labelstudio.unanswerable import Unanswerable

LINK = "label studio"
PAGE = 100
"""Tasks to a page of the API."""
WHOLE_PAGE = 20
"""Tasks to a page that brings their annotations, which may be large."""
LIFETIME = 300.0
"""Seconds that Label Studio's access tokens last, where one does not say."""
MARGIN = 30.0


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


class Tokens:
    """Turns credentials into Authorization headers. Access tokens are kept until shortly before they expire.

    Safe from many threads; one asks for a new token while the others wait for it.
    """

    def __init__(self, client: httpx.Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[str, float]] = {}

    def header(self, credentials: Credentials) -> str:
        """Raises Unanswerable where Label Studio does not take the token, httpx.HTTPError where it is not reached."""
        if not (credentials.token.isascii() and credentials.token.isprintable()):
            raise Unanswerable(
                LINK, f"the token of {credentials.given_by} has characters that no token has: set it anew"
            )
        if not credentials.personal:
            return f"Token {credentials.token}"
        key = credentials.url, credentials.token
        with self._lock:
            token, expires = self._kept.get(key, ("", 0.0))
            if self._clock() >= expires:
                token = self._refreshed(credentials)
                self._kept[key] = token, self._clock() + _lifetime(token) - MARGIN
            return f"Bearer {token}"

    def forget(self, credentials: Credentials) -> None:
        """Label Studio refused the access token: ask for a new one next time."""
        with self._lock:
            self._kept.pop((credentials.url, credentials.token), None)

    def _refreshed(self, credentials: Credentials) -> str:
        address = f"{credentials.url}/api/token/refresh/"
        answer = self._client.post(address, json={"refresh": credentials.token})
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


@dataclass(frozen=True, slots=True)
class Project:
    """label_config: its labelling configuration. tasks: how many it has. key: "<id>.<unix time of creation>", as Label
    Studio names it to backends."""

    label_config: str
    tasks: int
    key: str


class Api:
    """Label Studio's API with one token. Safe from many threads.

    All methods raise Unanswerable where Label Studio is not reached, refuses, or answers with something else.
    """

    def __init__(self, client: httpx.Client, tokens: Tokens, credentials: Credentials) -> None:
        self._client = client
        self._tokens = tokens
        self._credentials = credentials

    def project(self, number: int) -> Project:
        answer = self._asked(f"/api/projects/{number}/", {})
        label_config, tasks = str(_field(answer, "label_config")), int(_field(answer, "task_number") or 0)
        return Project(label_config, tasks, f"{number}.{_seconds(_field(answer, 'created_at'))}")

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """All tasks of a project, in the order of their ids, asked for page by page."""
        last = 0
        while page := self._page(project, [_filter("id", "greater", last)], PAGE):
            yield from page
            last = int(page[-1]["id"])

    def unlabelled_after(self, project: int, task: int, count: int) -> list[dict[str, Any]]:
        """The next tasks that nobody has labelled, in the order in which Label Studio gives them to annotators."""
        return self._page(project, [_filter("id", "greater", task), _filter("total_annotations", "equal", 0)], count)

    def annotated(self, project: int) -> Iterator[dict[str, Any]]:
        """All tasks of a project that somebody has labelled, with all that is known of them: `annotations` whole."""
        last = 0
        labelled = _filter("total_annotations", "greater", 0)
        while page := self._page(project, [_filter("id", "greater", last), labelled], WHOLE_PAGE, fields="all"):
            yield from page
            last = int(page[-1]["id"])

    def _page(self, project: int, filters: list[dict[str, Any]], count: int, **more: str) -> list[dict[str, Any]]:
        query = {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}
        asked: dict[str, str | int] = {
            "project": project,
            "page_size": count,
            "resolve_uri": "false",  # addresses as they are in the data, as /predict has them
            "query": json.dumps(query),
            **more,
        }
        found = _field(self._asked("/api/tasks/", asked), "tasks")
        return [{**task, "project": project} for task in found if isinstance(task, dict) and "id" in task]

    def _asked(self, path: str, params: Mapping[str, str | int]) -> Any:
        """The answer's JSON."""
        address = self._credentials.url + path
        try:
            answer = self._answer(address, params)
            if answer.status_code == 401 and self._credentials.personal:
                self._tokens.forget(self._credentials)
                answer = self._answer(address, params)
            if not answer.is_success:
                raise Unanswerable(
                    LINK,
                    f"{address} answered {answer.status_code} to the token of {self._credentials.given_by}: is there "
                    "such a project, and may the token's user see it?",
                )
            return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unanswerable(LINK, f"{address} cannot be reached ({type(error).__name__}: {error})") from None
        except ValueError:
            raise Unanswerable(LINK, f"{address} did not answer with JSON: is it Label Studio's?") from None

    def _answer(self, address: str, params: Mapping[str, str | int]) -> httpx.Response:
        headers = {"Authorization": self._tokens.header(self._credentials)}
        return self._client.get(address, params=dict(params), headers=headers)


def _filter(field: str, operator: str, value: int) -> dict[str, Any]:
    """A condition as the Data Manager writes it."""
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": "Number", "value": value}


def _field(answer: Any, name: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise Unanswerable(LINK, f"Label Studio's answer has no {name}: {str(answer)[:200]}")
    return answer[name]


def _seconds(moment: Any) -> int:
    """A moment as the API writes it -> whole seconds since 1970."""
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except (ValueError, TypeError):
        raise Unanswerable(LINK, f"Label Studio's answer has {str(moment)[:40]!r} where a time should be") from None


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
