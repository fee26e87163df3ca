"""What Label Studio and operators ask, and what they get."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from backend.server.app import create_app
from backend.server.loading import Loading
from backend.settings import Settings
from tests.server.standins import CONFIG, IdleRunner, body, click, never_loaded, picture

SETUP = {
    "project": "27.1795354711", "schema": CONFIG, "hostname": "http://127.0.0.1:8080",
    "access_token": "0" * 40, "extra_params": {"mask_index": 2},
}  # fmt: skip


@pytest.fixture
def loading_client(settings: Settings) -> Iterator[TestClient]:
    """A service whose weights never come."""
    with TestClient(create_app(settings, never_loaded, IdleRunner)) as client:
        yield client


@pytest.fixture
def failed_client(settings: Settings) -> Iterator[TestClient]:
    def failed(_settings: Settings) -> Loading:
        loading = Loading("standin")
        for future in (loading.weights, loading.ready):
            future.set_exception(RuntimeError("no such thing"))
        return loading

    with TestClient(create_app(settings, failed, IdleRunner)) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_is_up(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "UP", "model_class": "EdgeSAMBackend"})


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/versions", "/metrics", "/learning"])
def test_monitors_may_ask_with_head(client: TestClient, path: str) -> None:
    answer = client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_ready_when_loaded(client: TestClient) -> None:
    told = {"status": "READY", "model_version": "standin-01234567", "engine": "standin"}
    assert client.get("/ready").json() == told


def test_setup_tells_the_version(client: TestClient) -> None:
    answer = client.post("/setup", json=SETUP)
    assert (answer.status_code, answer.json()) == (200, {"model_version": "standin-01234567"})


def test_setup_without_label_studio_s_address_is_borne(client: TestClient) -> None:
    assert client.post("/setup", json={}).status_code == 200


def test_versions(client: TestClient) -> None:
    assert client.get("/versions").json() == {"versions": ["standin-01234567"]}


def test_while_weights_load_all_but_the_click_answers_at_once(loading_client: TestClient) -> None:
    began = time.monotonic()
    assert loading_client.get("/health").status_code == 200
    assert loading_client.post("/webhook", json={"action": "TASKS_CREATED"}).status_code == 201
    assert loading_client.get("/ready").status_code == 503
    assert "still being loaded" in loading_client.get("/ready").json()["reason"]
    assert loading_client.post("/setup", json=SETUP).json() == {"model_version": "standin"}
    assert loading_client.post("/predict", json=body(picture(), None, 3)).json() == {"results": [[], [], []]}
    assert time.monotonic() - began < 20


def test_weights_that_failed_are_told_to_whoever_needs_them(failed_client: TestClient) -> None:
    assert failed_client.get("/health").status_code == 200
    assert failed_client.get("/ready").json()["status"] == "FAILED"
    for answer in (
        failed_client.post("/setup", json=SETUP),
        failed_client.get("/versions"),
        failed_client.post("/predict", json=body(picture(), click())),
    ):
        assert (answer.status_code, answer.json()["link"]) == (503, "weights")
        assert "no such thing" not in answer.text


def test_a_click_gets_a_region(client: TestClient) -> None:
    answer = client.post("/predict", json=body(picture(), click()))
    assert answer.status_code == 200
    [prediction] = answer.json()["results"]
    [region] = prediction["result"]
    assert (region["type"], region["original_width"], region["original_height"]) == ("brushlabels", 64, 48)
    assert prediction["model_version"] == "standin-01234567"


def test_as_many_results_as_tasks_in_order(client: TestClient) -> None:
    answer = client.post("/predict", json=body(picture(), click(), count=3))
    assert [len(one["result"]) for one in answer.json()["results"]] == [1, 1, 1]
    assert client.post("/predict", json=body(picture(), None, count=3)).json() == {"results": [[], [], []]}


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[]", 422, "must be a JSON object, not list"),
        (b'{"tasks": []}', 422, "label_config: Field required; params: Field required"),
        (b'{"tasks": [], "label_config": "<View/>"}', 422, "params: Field required"),
        (b'{"tasks": 5, "label_config": "<View/>", "params": {}}', 422, "tasks: Input should be a valid list"),
        (b'{"tasks": [5], "label_config": "<View/>", "params": {}}', 422, "tasks.0: Input should be a valid dict"),
        (b'{"tasks": [], "label_config": "<View/>", "params": {"context": 5}}', 422, "params.context: Input should be"),
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_refused(
    client: TestClient, content: bytes, status: int, told: str
) -> None:
    answer = client.post("/predict", content=content)
    assert (answer.status_code, answer.json()["link"]) == (status, "request")
    assert told in answer.json()["error"]


def test_a_click_that_cannot_be_answered_says_which_link_is_broken(client: TestClient) -> None:
    without_brush = body(picture(), click()) | {"label_config": '<View><Image name="image" value="$image"/></View>'}
    answer = client.post("/predict", json=without_brush)
    assert (answer.status_code, answer.json()["link"]) == (422, "labelling configuration")
    answer = client.post("/predict", json=body("data:image/png;base64,AAAA", click()))
    assert (answer.status_code, answer.json()["link"]) == (502, "image")
    without_picture = body("", click())
    answer = client.post("/predict", json=without_picture)
    assert (answer.status_code, answer.json()["link"]) == (422, "task")
    page = client.get("/metrics").text
    assert 'edgesam_unanswered_total{link="image"}' in page
    assert 'edgesam_unanswered_total{link="labelling configuration"}' in page


def clicks(client: TestClient) -> float:
    [line] = [
        line for line in client.get("/metrics").text.splitlines() if line.startswith("edgesam_click_seconds_count")
    ]
    return float(line.split()[1])


def test_metrics_tell_of_requests_steps_and_the_cache(client: TestClient) -> None:
    before = clicks(client)
    client.post("/predict", json=body(picture(), click()))
    client.post("/predict", json=body(picture(), click(20, 20)))
    page = client.get("/metrics").text
    assert 'edgesam_requests_total{method="POST",path="/predict",status="200"}' in page
    assert 'edgesam_step_seconds_count{step="encode"}' in page
    assert 'edgesam_embeddings{figure="hits"} 1.0' in page
    assert 'edgesam_embeddings{figure="entries"} 1.0' in page
    client.post("/predict", json=body(picture(), None))
    assert clicks(client) == before + 2, "opening a task is no click"


def test_what_is_not_there_is_told_as_json(client: TestClient) -> None:
    assert client.get("/nothing").json() == {"error": "Not Found", "link": "request"}
    assert client.get("/predict").status_code == 405
