"""Label Studio's own API, as far as we need it: what is asked about projects and tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from backend.labelstudio.addresses import shown
from backend.labelstudio.failures import unreachable
from backend.labelstudio.models import Connecting, Model, models_in, refusal_in
from backend.labelstudio.tokens import LINK, Credentials, Tokens
from backend.labelstudio.unanswerable import Unanswerable, Unavailable, is_no_word

PAGE = 100
"""Tasks to a page of the API."""
WHOLE_PAGE = 20
"""Tasks to a page that brings their annotations, which may be large."""
PAUSES = (1.0, 5.0, 30.0)
"""Seconds until a page of tasks is asked for again."""
TITLE = "EdgeSAM"
"""What a backend that is added is called in the project's settings."""
ACCESS_SECONDS = 20.0
"""For an access token: nobody waits for the API who clicks."""


@dataclass(frozen=True, slots=True)
class Project:
    """label_config: its labelling configuration. tasks: how many it has. key: "<id>.<unix time of creation>", as Label
    Studio names it to backends."""

    label_config: str
    tasks: int
    key: str


def release_at(url: str, timeout: float) -> str:
    """Which Label Studio answers at this address; that needs no token. Raises Unanswerable where none does."""
    address = f"{url}/api/version/"
    try:
        answer = httpx.get(address, timeout=timeout)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"is it running? {unreachable(address, error)}", LINK) from None
    except UnicodeError as error:  # a name that no server can have
        raise Unanswerable(LINK, f"{shown(address)} is not an address ({error})") from None
    try:
        if answer.has_redirect_location:
            sent_to = str(answer.headers["location"]).removesuffix("/api/version/")
            raise Unanswerable(LINK, f"{address} sends on to {shown(sent_to)}: set LABEL_STUDIO_URL to where that is")
        return str(answer.json()["release"])
    except (ValueError, KeyError, TypeError):
        raise Unanswerable(
            LINK, f"{address} answered {answer.status_code} without a version: is LABEL_STUDIO_URL Label Studio's?"
        ) from None


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

    def user(self) -> str:
        """The e-mail address of the token's owner."""
        return str(_field(self._asked("/api/current-user/whoami", {}), "email"))

    def models(self, project: int) -> list[Model]:
        """In the order in which the page looks for an interactive one. Label Studio asks each how it is before it
        answers."""
        return models_in(self._asked("/api/ml", {"project": project}))

    def connect(self, project: int, wanted: Connecting, model: int | None = None) -> None:
        """Adds an interactive backend to a project, or changes the one of this number so that it is as `wanted`.

        Label Studio asks the backend first; where it refuses, the Unanswerable has its words.
        """
        if model is None:
            self._done("POST", "/api/ml", json=wanted.body(project) | {"title": TITLE})
        else:
            self._done("PATCH", f"/api/ml/{model}", json=wanted.body(project))

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """All tasks of a project, in the order of their ids, asked for page by page."""
        return self._pages(project, [], PAGE)

    def unlabelled_after(self, project: int, task: int, count: int) -> list[dict[str, Any]]:
        """The next tasks that nobody has labelled, in the order in which Label Studio gives them to annotators."""
        return self._page(project, [_filter("id", "greater", task), _filter("total_annotations", "equal", 0)], count)

    def annotated(self, project: int) -> Iterator[dict[str, Any]]:
        """All tasks of a project that somebody has labelled, with all that is known of them: `annotations` whole."""
        return self._pages(project, [_filter("total_annotations", "greater", 0)], WHOLE_PAGE, fields="all")

    def whole_tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """All tasks of a project, with all that is known of them: `annotations` and `predictions` whole."""
        return self._pages(project, [], WHOLE_PAGE, fields="all")

    def predict(self, task: int, prediction: Mapping[str, Any]) -> None:
        """Stores a prediction (result, score, model_version) of a task."""
        self._done("POST", "/api/predictions/", json={"task": task, **prediction})

    def predictions(self, task: int) -> list[dict[str, Any]]:
        """What is stored for a task."""
        found = self._asked("/api/predictions/", {"task": task})
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def _pages(self, project: int, filters: list[dict[str, Any]], count: int, **more: str) -> Iterator[dict[str, Any]]:
        """Page by page. A page for which Label Studio has no word is asked for again: the whole way would be lost."""
        last, pauses = 0, iter(PAUSES)
        while True:
            try:
                page = self._page(project, [_filter("id", "greater", last), *filters], count, **more)
            except Unavailable:
                if (pause := next(pauses, None)) is None:
                    raise
                time.sleep(pause)
                continue
            if not page:
                return
            yield from page
            last, pauses = int(page[-1]["id"]), iter(PAUSES)

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
        return self._done("GET", path, params=dict(params))

    def _done(self, method: str, path: str, **request: Any) -> Any:
        address = self._credentials.url + path
        try:
            answer = self._answer(method, address, **request)
            if answer.status_code == 401 and self._credentials.personal:
                self._tokens.forget(self._credentials)
                answer = self._answer(method, address, **request)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                kind = "personal access" if self._credentials.personal else "legacy"
                raise Unanswerable(
                    LINK,
                    f"{address} answered 401 to the {kind} token of {self._credentials.given_by}: make a personal "
                    "access token under Account & Settings, and set LABEL_STUDIO_API_KEY to it",
                )
            if method != "GET" and answer.is_error and (words := refusal_in(answer)):
                raise Unanswerable(LINK, f"Label Studio answered {answer.status_code}: {words}")
            if is_no_word(answer.status_code):
                raise Unavailable(
                    f"{address} answered {answer.status_code}: Label Studio is busy, or has a fault", LINK
                )
            if not answer.is_success:
                raise Unanswerable(
                    LINK,
                    f"{address} answered {answer.status_code} to the token of {self._credentials.given_by}: is there "
                    "such a project, and may the token's user see it?",
                )
            return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{address} cannot be reached ({type(error).__name__}: {error})", LINK) from None
        except ValueError:
            raise Unanswerable(LINK, f"{address} did not answer with JSON: is it Label Studio's?") from None

    def _answer(self, method: str, address: str, **request: Any) -> httpx.Response:
        headers = {"Authorization": self._tokens.header(self._credentials, ACCESS_SECONDS)}
        return self._client.request(method, address, headers=headers, **request)


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
