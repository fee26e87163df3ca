"""What Label Studio says has happened is written down, and nothing else is done."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from backend.accepted.annotations import Annotation, accept, accepted, new_regions
from backend.accepted.jobs import enqueue, finish, jobs
from backend.accepted.versions import Version, choose, current, record
from backend.server.app import create_app
from backend.settings import read_settings
from tests.server.learned import learned
from tests.server.standins import IdleRunner, loaded, never_loaded

RECORDINGS = Path(__file__).parent.parent / "recordings"
P = "27.1795354711"
BASE = "standin-01234567"


def recorded(case: str) -> Any:
    """The body of the recording's webhook."""
    told = json.loads((RECORDINGS / f"{case}.json").read_text())
    return next(one["body"] for one in [*told["requests_before"], told["request"]] if one["path"] == "/webhook")


def tell(client: TestClient, body: Any, path: str = "/webhook") -> str | None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.json()["status"]) == (201, "ok"), answer.text
    job = answer.json()["job"]
    assert job is None or isinstance(job, str)
    return job


def created(number: int, regions: int = 1, **changed: Any) -> Any:
    body = recorded("41-webhook-annotation-created")
    [region] = body["annotation"]["result"]
    result = [region | {"id": f"r{index}"} for index in range(regions)]
    body["annotation"] |= {"id": number, "result": result, **changed}
    return body


def version(folder: Path, number: int) -> str:
    name = f"edgesam-01234567-p27-v{number}"
    record(folder, Version(P, number, name, folder / name, "0" * 64, "01234567", True, {}, "2026-11-22T13:38:31", None))
    return name


def woken(app: FastAPI) -> int:
    return app.state.services.runner.woken - 1  # once at the start


def test_an_annotation_is_kept_changed_and_forgotten_as_recorded(client: TestClient, tmp_path: Path) -> None:
    body = recorded("41-webhook-annotation-created")
    assert tell(client, body) is None
    [kept] = list(accepted(tmp_path, P))
    assert (kept.number, kept.task, kept.data) == (52, 22, body["task"]["data"])
    assert kept.result == body["annotation"]["result"]
    changed = recorded("42-webhook-annotation-updated")
    changed["annotation"]["result"][0]["value"]["x"] = 40
    tell(client, changed)
    assert next(accepted(tmp_path, P)).result[0]["value"]["x"] == 40
    tell(client, body)
    assert next(accepted(tmp_path, P)).result[0]["value"]["x"] == 40, "an older word that comes late"
    tell(client, recorded("43-webhook-annotations-deleted"))
    assert list(accepted(tmp_path, P)) == []


def test_annotations_made_of_predictions_come_as_a_list(client: TestClient, tmp_path: Path) -> None:
    tell(client, recorded("47-webhook-annotations-created"))
    [kept] = list(accepted(tmp_path, P))
    assert (kept.number, kept.result[0]["type"]) == (53, "brushlabels")
    assert kept.result[0]["value"]["rle"][:3] == [0, 26, 19]


def test_annotations_go_with_their_task(client: TestClient, tmp_path: Path) -> None:
    accept(
        tmp_path, [Annotation(P, number, task, {}, [], "2026-11-22T13:38:31Z") for number, task in ((1, 24), (2, 25))]
    )
    tell(client, recorded("48-webhook-tasks-deleted"))
    assert [one.number for one in accepted(tmp_path, P)] == [2]


def test_a_skipped_task_has_no_annotation(client: TestClient, tmp_path: Path) -> None:
    tell(client, created(52))
    tell(client, created(52, was_cancelled=True, updated_at="2026-11-22T13:39:00Z"))
    assert list(accepted(tmp_path, P)) == []


def test_start_training_queues_one_job_and_wakes_the_runner(app: FastAPI, client: TestClient, tmp_path: Path) -> None:
    body = recorded("46-start-training")
    assert (tell(client, body), tell(client, body)) == ("1", "1")
    [job] = jobs(tmp_path)
    assert (job.project, job.state, job.reason) == (P, "queued", "Start Training")
    assert woken(app) == 2


def test_enough_new_regions_queue_a_job(app: FastAPI, client: TestClient, tmp_path: Path) -> None:
    assert tell(client, created(1, regions=19)) is None
    assert woken(app) == 0
    assert tell(client, created(2)) == "1"
    assert (jobs(tmp_path)[0].reason, woken(app)) == ("20 new regions", 1)
    assert tell(client, created(3)) is None
    assert new_regions(tmp_path, P) == 1


def test_where_it_is_off_regions_are_only_kept(tmp_path: Path) -> None:
    settings = read_settings(model_dir=tmp_path, edgesam_finetune_every=0)
    with TestClient(create_app(settings, loaded, IdleRunner)) as client:
        assert tell(client, created(1, regions=100)) is None
        assert tell(client, recorded("46-start-training")) == "1"
    assert new_regions(tmp_path, P) == 0


SETUP = {"project": P, "schema": "<View/>", "hostname": "http://localhost:8080", "access_token": ""}


def test_a_version_of_other_weights_is_learned_anew_when_label_studio_shows_its_project(
    app: FastAPI, client: TestClient, tmp_path: Path
) -> None:
    assert client.post("/setup", json=SETUP).status_code == 200
    assert jobs(tmp_path) == []
    finish(tmp_path, enqueue(tmp_path, P, "20 new regions").number, "better")
    learned(tmp_path, base="c168a5b0")
    for _ in range(2):
        assert client.post("/setup", json=SETUP).status_code == 200
    job, _ = jobs(tmp_path)
    assert (job.project, job.state, job.reason) == (P, "queued", "other weights answer now: 01234567")
    assert woken(app) == 1
    finish(tmp_path, job.number, "not better")
    client.post("/setup", json=SETUP)
    assert len(jobs(tmp_path)) == 2, "once, whatever came of it"


def test_a_version_of_these_weights_and_one_that_nobody_chose_are_left_alone(
    client: TestClient, tmp_path: Path
) -> None:
    learned(tmp_path, base="c168a5b0", serves=False)
    client.post("/setup", json=SETUP)
    learned(tmp_path, number=2)
    client.post("/setup", json=SETUP)
    assert jobs(tmp_path) == []


def test_nothing_is_learned_anew_where_nothing_is_learned_by_itself_or_the_weights_are_not_there_yet(
    tmp_path: Path,
) -> None:
    learned(tmp_path, base="c168a5b0")
    off = read_settings(model_dir=tmp_path, edgesam_finetune_every=0)
    for settings, load in ((off, loaded), (read_settings(model_dir=tmp_path), never_loaded)):
        with TestClient(create_app(settings, load, IdleRunner)) as client:
            assert client.post("/setup", json=SETUP).status_code == 200
    assert jobs(tmp_path) == []


def test_label_studio_is_answered_where_nothing_can_be_written_down(client: TestClient, tmp_path: Path) -> None:
    learned(tmp_path, base="c168a5b0")
    with closing(sqlite3.connect(tmp_path / "learning.sqlite")) as connection:
        connection.execute("DROP TABLE serving")
    with capture_logs() as said:
        assert client.post("/setup", json=SETUP).status_code == 200
    assert "cannot_write_down" in [line["event"] for line in said]


def test_a_version_chosen_in_label_studio_answers(client: TestClient, tmp_path: Path) -> None:
    names = [version(tmp_path, 1), version(tmp_path, 2)]
    body = recorded("44-webhook-project-updated")

    def chosen(name: str) -> str | None:
        body["project"]["model_version"] = name
        tell(client, body)
        now = current(tmp_path, P)
        return now and now.name

    assert chosen("stub") is None
    assert chosen(names[0]) == names[0]
    choose(tmp_path, P, names[1])
    assert chosen(names[0]) == names[1], "nobody chose since"
    assert chosen(BASE) is None
    assert chosen(names[1]) == names[1]


def test_setup_and_versions_name_what_was_learned(client: TestClient, tmp_path: Path) -> None:
    name = version(tmp_path, 1)
    choose(tmp_path, P, name)
    assert client.post("/setup", json={"project": P}).json() == {"model_version": name}
    assert client.post("/setup", json={"project": "28.1"}).json() == {"model_version": BASE}
    assert client.get("/versions").json() == {"versions": [BASE, name]}


@pytest.mark.parametrize(
    "body",
    [
        {"event": "START_TRAINING", "data": recorded("46-start-training")},
        {"project": P, "annotations": []},
        {"project": {"id": 27, "created_at": "2026-11-22T13:38:31.291014Z"}},
        {"event": "unheard of", "data": {"project": P}},
    ],
)
def test_label_studio_ml_s_own_train_queues_a_job(client: TestClient, tmp_path: Path, body: Any) -> None:
    assert tell(client, body, "/train") == "1"
    assert jobs(tmp_path)[0].project == P


def test_train_with_an_event_is_as_good_as_a_webhook(client: TestClient, tmp_path: Path) -> None:
    assert tell(client, {"event": "ANNOTATION_CREATED", "data": created(1)}, "/train") is None
    assert len(list(accepted(tmp_path, P))) == 1


def test_a_number_alone_means_the_newest_project_that_has_it(client: TestClient, tmp_path: Path) -> None:
    for body in ({"project": "27"}, {"project": {"id": 27}}):
        answer = client.post("/train", json=body)
        assert (answer.status_code, "nothing is known of a project 27" in answer.json()["error"]) == (422, True)
    tell(client, created(1))
    for body in ({"project": "27"}, {"project": {"id": 27}}):
        assert tell(client, body, "/train") == "1"
    assert jobs(tmp_path)[0].project == P


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/webhook", created(1, updated_at="yesterday"), "annotation.0.updated_at"),
        ("/webhook", created(1, id=2**64), "annotation.0.id"),
        ("/webhook", created(1, result=["a region"]), "annotation.0.result"),
        ("/webhook", {"action": "START_TRAINING", "project": 27}, "project"),
        ("/train", {}, "project: Field required"),
        ("/train", [], "must be a JSON object"),
        ("/train", {"project": "../../etc"}, "is no number"),
    ],
)
def test_what_is_not_understood_is_told_and_changes_nothing(
    client: TestClient, tmp_path: Path, path: str, body: Any, told: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 422
    assert told in answer.json()["error"]
    assert (list(accepted(tmp_path, P)), jobs(tmp_path)) == ([], [])


@pytest.mark.parametrize("body", [{}, [], {"action": "START_TRAINING"}, {"action": "TASKS_CREATED", "project": 3}])
def test_what_says_nothing_is_borne(client: TestClient, tmp_path: Path, body: Any) -> None:
    assert tell(client, body) is None
    assert jobs(tmp_path) == []


def test_an_annotation_without_its_task_is_told_in_the_log(client: TestClient, tmp_path: Path) -> None:
    with capture_logs() as lines:
        tell(client, created(1) | {"task": None})
    assert any(line["event"] == "an annotation came without its task" for line in lines)
    assert list(accepted(tmp_path, P)) == []


def test_what_cannot_be_written_down_is_told(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "learning.sqlite").write_bytes(b"no database at all" * 500)
    with pytest.raises(sqlite3.Error):
        list(accepted(tmp_path, P))
    answer = client.post("/webhook", json=created(1))
    assert (answer.status_code, "MODEL_DIR" in answer.json()["error"]) == (503, True)
    assert client.get("/versions").json() == {"versions": [BASE]}
    assert client.post("/setup", json={"project": P}).json() == {"model_version": BASE}
    assert client.get("/metrics").status_code == 200


@pytest.fixture
def early(tmp_path: Path) -> Iterator[TestClient]:
    """A service whose weights never come."""
    with TestClient(create_app(read_settings(model_dir=tmp_path), never_loaded, IdleRunner)) as client:
        yield client


def test_what_happens_while_weights_load_is_heard(early: TestClient, tmp_path: Path) -> None:
    assert tell(early, created(1, regions=20)) == "1"
    assert len(list(accepted(tmp_path, P))) == 1


def test_a_large_annotation_comes_back_whole(client: TestClient, tmp_path: Path) -> None:
    body = created(1, regions=50)
    for region in body["annotation"]["result"]:
        region["value"] = {"format": "rle", "rle": list(range(256)) * 40, "brushlabels": ["Object"]}
    tell(client, body)
    assert next(accepted(tmp_path, P)).result == body["annotation"]["result"]
