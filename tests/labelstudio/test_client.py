"""What is asked of Label Studio's own API."""

import json

import httpx
import pytest
import respx

from backend.labelstudio.client import Api, Project, release_at
from backend.labelstudio.models import Connecting
from backend.labelstudio.tokens import Credentials, Tokens
from backend.labelstudio.unanswerable import Unanswerable

LEGACY, PERSONAL = "0" * 40, "e30.e30.signature"
PROJECT = {"label_config": "<View/>", "task_number": 3, "title": "a", "created_at": "2026-11-22T13:38:31.291014Z"}


def api(answers, token=LEGACY):
    client = httpx.Client(transport=httpx.MockTransport(answers))
    return Api(client, Tokens(client), Credentials("http://studio", token, "LABEL_STUDIO_API_KEY"))


def test_an_access_token_that_ended_is_renewed_for_the_api():
    given, asked = iter(["old", "new"]), []

    def studio(request):
        if request.url.path == "/api/token/refresh/":
            return httpx.Response(200, json={"access": next(given)})
        asked.append(request.headers["authorization"])
        if asked[-1] != "Bearer new":
            return httpx.Response(401)
        return httpx.Response(200, json=PROJECT)

    assert api(studio, PERSONAL).project(27) == Project("<View/>", 3, "27.1795354711")
    assert asked == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(404), "http://studio/api/projects/1/ answered 404 to the token of LABEL_STUDIO_API_KEY"),
        (httpx.Response(401), "answered 401 to the legacy token of LABEL_STUDIO_API_KEY: make a personal access token"),
        (httpx.Response(200, html="<html>"), "did not answer with JSON"),
        (httpx.Response(200, json=[]), "has no label_config"),
        (httpx.Response(200, json=PROJECT | {"created_at": "yesterday"}), "has 'yesterday' where a time should be"),
        (httpx.ConnectError("refused"), r"cannot be reached \(ConnectError: refused\)"),
    ],
)
def test_what_the_api_does_not_answer_is_told(answer, told):
    def studio(_):
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.raises(Unanswerable, match=told) as caught:
        api(studio).project(1)
    assert LEGACY not in str(caught.value)


def test_labelled_tasks_come_whole_page_by_page():
    there = [{"id": number, "annotations": [{"id": 10 * number}]} for number in range(1, 46)]
    asked = []

    def studio(request):
        query = request.url.params
        after, labelled = json.loads(query["query"])["filters"]["items"]
        assert (labelled["filter"], labelled["operator"], labelled["value"]) == (
            "filter:tasks:total_annotations",
            "greater",
            0,
        )
        asked.append((query["fields"], query["project"], after["value"]))
        page = [task for task in there if task["id"] > after["value"]][: int(query["page_size"])]
        return httpx.Response(200, json={"tasks": page})

    assert list(api(studio).annotated(7)) == [{**task, "project": 7} for task in there]
    assert asked == [("all", "7", 0), ("all", "7", 20), ("all", "7", 40), ("all", "7", 45)]


def test_a_backend_is_added_or_changed_with_a_token_that_is_renewed():
    given, asked = iter(["old", "new"]), []

    def studio(request):
        if request.url.path == "/api/token/refresh/":
            return httpx.Response(200, json={"access": next(given)})
        asked.append((request.method, request.url.path, json.loads(request.content).get("title")))
        return httpx.Response(200 if request.headers["authorization"] == "Bearer new" else 401, json={})

    wanted, label_studio = Connecting("http://backend", None, None), api(studio, PERSONAL)
    label_studio.connect(7, wanted)
    label_studio.connect(7, wanted, 3)
    assert asked == 2 * [("POST", "/api/ml", "EdgeSAM")] + [("PATCH", "/api/ml/3", None)]


def test_what_label_studio_says_of_a_change_is_passed_on_and_nothing_else():
    refused = httpx.Response(403, json={"detail": "not there"})
    with pytest.raises(Unanswerable, match=r"^Label Studio answered 403: not there$"):
        api(lambda _: refused).connect(7, Connecting("http://backend", None, None))
    with pytest.raises(Unanswerable, match="answered 403 to the token of LABEL_STUDIO_API_KEY"):
        api(lambda _: refused).models(7)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(301, headers={"location": "https://studio/api/version/"}), "sends on to https://studio: set"),
        (httpx.Response(200, html="<html>"), "answered 200 without a version"),
        (httpx.Response(404, json=[]), "answered 404 without a version"),
        (httpx.ConnectError("refused"), r"is it running\? .*cannot be reached \(ConnectError: refused\)"),
    ],
)
def test_what_is_not_label_studio_has_no_release(answer, told):
    with respx.mock() as network:
        network.get("http://studio/api/version/").mock(side_effect=[answer])
        with pytest.raises(Unanswerable, match=told):
            release_at("http://studio", 1.0)


def test_label_studio_tells_its_release_without_a_token():
    with respx.mock() as network:
        asked = network.get("http://studio/api/version/").respond(json={"release": "1.23.2"})
        assert release_at("http://studio", 1.0) == "1.23.2"
        assert "authorization" not in asked.calls.last.request.headers
