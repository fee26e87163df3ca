"""Tokens: which kind, where to, how long."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from backend.labelstudio.client import Api, Credentials, Project, Tokens, origin
from backend.labelstudio.unanswerable import Unanswerable

LEGACY = "0" * 40
PROJECT = {"label_config": "<View/>", "task_number": 3, "title": "a", "created_at": "2026-11-22T13:38:31.291014Z"}


def jwt(**claims):
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims)
    ]
    return ".".join([*parts, "signature"])


PERSONAL = jwt(token_type="refresh")


class Studio:
    """Gives an access token for a refresh token and counts."""

    def __init__(self, answer=None):
        self.asked = []
        self.answer = answer or (
            lambda: httpx.Response(200, json={"access": jwt(iat=1000, exp=1300, n=len(self.asked))})
        )

    def __call__(self, request):
        self.asked.append((str(request.url), json.loads(request.content), request.headers.get("authorization")))
        return self.answer()


def tokens(studio, clock=lambda: 0.0):
    return Tokens(httpx.Client(transport=httpx.MockTransport(studio)), clock)


def credentials(token, url="http://studio"):
    return Credentials(url, token, "LABEL_STUDIO_API_KEY")


def test_a_legacy_token_is_sent_as_it_is():
    studio = Studio()
    assert tokens(studio).header(credentials(LEGACY)) == f"Token {LEGACY}"
    assert studio.asked == []


def test_a_personal_access_token_is_swapped_for_an_access_token():
    studio = Studio()
    assert tokens(studio).header(credentials(PERSONAL)) == f"Bearer {jwt(iat=1000, exp=1300, n=1)}"
    assert studio.asked == [("http://studio/api/token/refresh/", {"refresh": PERSONAL}, None)]


@pytest.mark.parametrize("token", ["a.b.c", "a.b", "....", LEGACY, "", "e30.e30", "W10.W10.x"])
def test_what_is_no_jwt_is_a_legacy_token(token):
    assert not credentials(token).personal


def test_an_access_token_is_kept_until_shortly_before_its_end():
    studio, now = Studio(), [0.0]
    kept = tokens(studio, lambda: now[0])
    first = kept.header(credentials(PERSONAL))
    now[0] = 269.0
    assert kept.header(credentials(PERSONAL)) == first
    now[0] = 271.0
    assert kept.header(credentials(PERSONAL)) != first
    assert len(studio.asked) == 2


def test_a_forgotten_access_token_is_asked_for_again():
    studio = Studio()
    kept = tokens(studio)
    kept.header(credentials(PERSONAL))
    kept.forget(credentials(PERSONAL))
    kept.header(credentials(PERSONAL))
    assert len(studio.asked) == 2


def test_two_label_studios_have_tokens_of_their_own():
    studio = Studio()
    kept = tokens(studio)
    assert kept.header(credentials(PERSONAL)) != kept.header(credentials(PERSONAL, "http://other"))
    assert [url for url, _, _ in studio.asked] == [
        "http://studio/api/token/refresh/",
        "http://other/api/token/refresh/",
    ]


def test_many_threads_ask_once():
    together, second = threading.Barrier(8), threading.Barrier(2)
    studio = Studio()
    given = studio.answer

    def answer():
        with suppress(threading.BrokenBarrierError):
            second.wait(0.1)  # for a thread that should not come
        return given()

    studio.answer = answer
    kept = tokens(studio)

    def ask(_):
        together.wait()
        return kept.header(credentials(PERSONAL))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert len(studio.asked) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(401), "refused the personal access token of LABEL_STUDIO_API_KEY"),
        (httpx.Response(404, text="<html>"), "answered 404 without an access token: is http://studio Label Studio's"),
        (httpx.Response(200, json=[]), "without an access token"),
        (httpx.Response(200, json={"access": "a\nb"}), "without an access token"),
        (httpx.Response(301, headers={"location": "http://evil/"}), "answered 301 without an access token"),
    ],
)
def test_a_token_that_is_not_taken_says_why_and_is_not_shown(answer, told):
    with pytest.raises(Unanswerable, match=told) as caught:
        tokens(Studio(lambda: answer)).header(credentials(PERSONAL))
    assert caught.value.link == "label studio"
    assert PERSONAL not in str(caught.value)


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "tökén"])
def test_a_token_that_no_header_can_hold_is_refused(token):
    with pytest.raises(Unanswerable, match="characters that no token has"):
        tokens(Studio()).header(credentials(token))


def test_nothing_shows_a_token():
    assert LEGACY not in repr(credentials(LEGACY))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://studio/a", "http://studio:80/b", True),
        ("https://STUDIO", "https://studio:443/", True),
        ("http://studio", "https://studio", False),
        ("http://studio", "http://studio:8080", False),
        ("http://studio", "http://studio.evil", False),
        ("http://studio", "http://studio@evil", False),
        ("http://studio", "http://evil/?http://studio", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(one, other, same):
    assert (origin(one) == origin(other)) is same


def api(answers, token=LEGACY):
    client = httpx.Client(transport=httpx.MockTransport(answers))
    return Api(client, Tokens(client), credentials(token))


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
