"""Tokens: which kind, where to, how long."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest

from backend.labelstudio.tokens import Credentials, Tokens, origin
from backend.labelstudio.unanswerable import Unanswerable, Unavailable

LEGACY = "0" * 40


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
    assert tokens(studio).header(credentials(LEGACY), 5.0) == f"Token {LEGACY}"
    assert studio.asked == []


def test_a_personal_access_token_is_swapped_for_an_access_token():
    studio = Studio()
    assert tokens(studio).header(credentials(PERSONAL), 5.0) == f"Bearer {jwt(iat=1000, exp=1300, n=1)}"
    assert studio.asked == [("http://studio/api/token/refresh/", {"refresh": PERSONAL}, None)]


@pytest.mark.parametrize("token", ["a.b.c", "a.b", "....", LEGACY, "", "e30.e30", "W10.W10.x"])
def test_what_is_no_jwt_is_a_legacy_token(token):
    assert not credentials(token).personal


def test_an_access_token_is_kept_until_shortly_before_its_end():
    studio, now = Studio(), [0.0]
    kept = tokens(studio, lambda: now[0])
    first = kept.header(credentials(PERSONAL), 5.0)
    now[0] = 269.0
    assert kept.header(credentials(PERSONAL), 5.0) == first
    now[0] = 271.0
    assert kept.header(credentials(PERSONAL), 5.0) != first
    assert len(studio.asked) == 2


def test_a_forgotten_access_token_is_asked_for_again():
    studio = Studio()
    kept = tokens(studio)
    kept.header(credentials(PERSONAL), 5.0)
    kept.forget(credentials(PERSONAL))
    kept.header(credentials(PERSONAL), 5.0)
    assert len(studio.asked) == 2


def test_two_label_studios_have_tokens_of_their_own():
    studio = Studio()
    kept = tokens(studio)
    assert kept.header(credentials(PERSONAL), 5.0) != kept.header(credentials(PERSONAL, "http://other"), 5.0)
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
        return kept.header(credentials(PERSONAL), 5.0)

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
        tokens(Studio(lambda: answer)).header(credentials(PERSONAL), 5.0)
    assert caught.value.link == "label studio"
    assert PERSONAL not in str(caught.value)


@pytest.mark.parametrize("status", [500, 502, 503, 408, 429])
def test_a_server_that_has_a_fault_said_nothing_about_the_token(status):
    with pytest.raises(Unavailable, match=f"/api/token/refresh/ answered {status}"):
        tokens(Studio(lambda: httpx.Response(status))).header(credentials(PERSONAL), 5.0)


def test_what_failed_is_not_tried_again_at_once():
    studio, now = Studio(lambda: httpx.Response(502)), [0.0]
    kept = tokens(studio, lambda: now[0])
    for _ in range(3):
        with pytest.raises(Unavailable):
            kept.header(credentials(PERSONAL), 5.0)
    assert len(studio.asked) == 1
    now[0], studio.answer = 2.5, Studio().answer
    assert kept.header(credentials(PERSONAL), 5.0).startswith("Bearer ")


def test_who_waits_for_another_one_to_ask_does_not_wait_longer_than_told():
    asked, over = threading.Event(), threading.Event()

    def answer():
        asked.set()
        over.wait(60)
        return httpx.Response(200, json={"access": jwt(iat=1000, exp=1300)})

    kept = tokens(Studio(answer))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.header, credentials(PERSONAL), 60.0)
        asked.wait(60)
        with pytest.raises(Unavailable, match=r"takes longer than 0\.0 s"):
            kept.header(credentials(PERSONAL), 0.01)
        over.set()
        assert first.result().startswith("Bearer ")


def test_the_time_that_is_left_is_what_label_studio_gets():
    told = []

    def studio(request):
        told.append(request.extensions["timeout"]["read"])
        return httpx.Response(503)

    with pytest.raises(Unavailable):
        Tokens(httpx.Client(transport=httpx.MockTransport(studio)), lambda: 0.0).header(credentials(PERSONAL), 1.5)
    assert told == [1.5]


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "tökén"])
def test_a_token_that_no_header_can_hold_is_refused(token):
    with pytest.raises(Unanswerable, match="characters that no token has"):
        tokens(Studio()).header(credentials(token), 5.0)


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
