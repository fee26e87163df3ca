"""Who may come in, and with how much."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from backend.server import routes
from backend.server.app import create_app
from backend.settings import read_settings
from tests.server.standins import IdleRunner, loaded

ASKING = [
    ("GET", "/"), ("GET", "/health"), ("POST", "/setup"), ("POST", "/predict"), ("GET", "/versions"),
    ("GET", "/metrics"), ("GET", "/learning"), ("GET", "/learning/27.1/1"), ("POST", "/train"), ("GET", "/nothing"),
]  # fmt: skip


def basic(text: str, encoding: str = "utf-8") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode(encoding)).decode()}


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[TestClient]:
    settings = read_settings(model_dir=tmp_path, basic_auth_user="anna", basic_auth_pass="grün:geheim")
    with TestClient(create_app(settings, loaded, IdleRunner)) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), ASKING)
@pytest.mark.parametrize(
    "headers",
    [{}, basic("anna:wrong"), basic("anna"), basic(":"), {"Authorization": "Basic !!"}, {"Authorization": "Token abc"}],
)
def test_without_the_password_nobody_comes_in(
    locked: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = locked.request(method, path, headers=headers, json={})
    assert (answer.status_code, answer.json()["link"]) == (401, "password")
    assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert "geheim" not in answer.text


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_password_opens_however_the_caller_writes_its_umlaut(locked: TestClient, encoding: str) -> None:
    headers = basic("anna:grün:geheim", encoding)
    assert locked.get("/health", headers=headers).status_code == 200
    assert locked.post("/setup", json={}, headers=headers).status_code == 200


def test_health_checks_need_no_password(locked: TestClient) -> None:
    assert locked.get("/ready").status_code == 200


def test_a_webhook_without_the_password_is_answered_and_not_heard(locked: TestClient) -> None:
    """Label Studio sends its webhooks without one."""
    routes._tell_ignored.cache_clear()
    with capture_logs() as logs:
        for _ in range(2):
            answer = locked.post("/webhook", content=b"anything")
            assert (answer.status_code, answer.json()) == (200, {"status": "ignored"})
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["webhooks_ignored"], "once"
    with_password = locked.post("/webhook", json={"action": "START_TRAINING"}, headers=basic("anna:grün:geheim"))
    assert with_password.status_code == 201


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[TestClient]:
    settings = read_settings(model_dir=tmp_path, edgesam_max_body_mb=1)
    with TestClient(create_app(settings, loaded, IdleRunner)) as client:
        yield client


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
def test_a_large_body_is_refused_by_its_announced_length(narrow: TestClient, path: str) -> None:
    answer = narrow.post(path, content=b"x" * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["link"]) == (413, "request")
    assert "EDGESAM_MAX_BODY_MB" in answer.json()["error"]


def test_a_large_body_of_unknown_length_is_refused_while_it_arrives(narrow: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    answer = narrow.post("/predict", content=endless())
    assert (answer.status_code, answer.json()["link"]) == (413, "request")


def test_a_body_of_exactly_the_limit_comes_in(narrow: TestClient) -> None:
    content = b'{"action": "' + b"x" * (1024 * 1024 - 14) + b'"}'
    assert len(content) == 1024 * 1024
    assert narrow.post("/webhook", content=content).status_code == 201
