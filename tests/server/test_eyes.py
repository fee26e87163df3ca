"""What is seen of a request."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from backend.server.eyes import Eyes
from tests.server.standins import body, click, picture


def test_one_line_per_request(client: TestClient) -> None:
    with capture_logs() as lines:
        client.get("/versions")
    [line] = [line for line in lines if line["event"] == "request"]
    assert (line["log_level"], line["method"], line["path"], line["status"]) == ("info", "GET", "/versions", 200)
    assert line["ms"] >= 0


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/"])
def test_what_is_asked_all_the_time_is_told_at_debug_only(client: TestClient, path: str) -> None:
    with capture_logs() as lines:
        client.get(path)
    assert [line["log_level"] for line in lines if line["event"] == "request"] == ["debug"]


def test_a_sane_request_id_is_kept_and_a_strange_one_replaced(client: TestClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "abc-123"}).headers["X-Request-ID"] == "abc-123"
    for strange in ("a b", "x" * 65, '"', ""):
        made = client.get("/health", headers={"X-Request-ID": strange}).headers["X-Request-ID"]
        assert made != strange
        assert len(made) == 16


def test_an_unexpected_error_is_logged_with_its_traceback_and_told_without(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("an inner secret")

    monkeypatch.setattr("backend.server.routes.answer", broken)
    with TestClient(app) as client, capture_logs() as lines:
        answer = client.post("/predict", json=body(picture(), click()))
        assert client.get("/health").status_code == 200
    assert (answer.status_code, answer.json()["link"]) == (500, "server")
    assert answer.headers["X-Request-ID"] in answer.json()["error"]
    assert "secret" not in answer.text
    [line] = [line for line in lines if line["event"] == "unexpected_error"]
    assert line["log_level"] == "error"
    assert line["exc_info"]
    assert next(line["status"] for line in lines if line["event"] == "request") == 500


def test_a_caller_who_goes_away_before_the_end_of_the_body_is_no_error() -> None:
    async def reading(scope: Scope, receive: Receive, _send: Send) -> None:
        await Request(scope, receive).body()

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def sent(message: Message) -> None:
        pytest.fail(f"nobody is there to get {message}")

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    with capture_logs() as lines:
        anyio.run(Eyes(reading), scope, gone, sent)
    [line] = lines
    assert (line["event"], line["log_level"], line["status"]) == ("request", "info", 499)


def test_an_unanswerable_click_is_logged_with_link_and_message(client: TestClient) -> None:
    with capture_logs() as lines:
        client.post("/predict", json=body("data:image/png;base64,AAAA", click()))
    [line] = [line for line in lines if line["event"] == "unanswered"]
    assert (line["log_level"], line["link"]) == ("warning", "image")
    assert line["message"]


def test_made_up_paths_do_not_fill_the_metrics(client: TestClient) -> None:
    client.get("/made-up-path")
    client.request("BREW", "/health")
    page = client.get("/metrics").text
    assert "made-up-path" not in page
    assert "BREW" not in page
    assert 'path="other"' in page


def test_a_large_answer_is_compressed_for_who_wants_it(client: TestClient) -> None:
    large = body(picture(2000, 1500), click(width=2000, height=1500))
    plain = client.post("/predict", json=large, headers={"Accept-Encoding": "identity"})
    packed = client.post("/predict", json=large, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    first, second = (answer.json()["results"][0]["result"][0]["value"]["rle"] for answer in (plain, packed))
    assert first == second
