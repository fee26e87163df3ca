"""What Prometheus is told of learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from backend.accepted import jobs
from backend.accepted.annotations import Annotation, accept
from backend.accepted.database import FILE, connected
from backend.accepted.versions import choose, record
from tests.server.learned import PROJECT, learned


def told(client: TestClient, name: str, **labels: str) -> list[float]:
    """The samples of the page that have this name and these labels."""
    page = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in page for sample in family.samples if sample.name == name]
    return [sample.value for sample in samples if labels.items() <= sample.labels.items()]


def test_jobs_regions_and_versions_are_counted(client: TestClient, tmp_path: Path) -> None:
    learned(tmp_path, 1)
    learned(tmp_path, 2, promoted=False)
    jobs.enqueue(tmp_path, PROJECT, "because")
    regions = [{"id": f"r{number}", "type": "brushlabels"} for number in range(3)]
    accept(tmp_path, [Annotation(PROJECT, 1, 1, {}, regions, "2026-11-22T13:38:31Z")])
    assert told(client, "edgesam_learning_jobs", state="queued") == [1]
    assert told(client, "edgesam_learning_jobs", state="failed") == [0]
    assert told(client, "edgesam_learned_versions", promoted="yes") == [1]
    assert told(client, "edgesam_learned_versions", promoted="no") == [1]
    assert told(client, "edgesam_accepted_regions") == [3]


def test_how_long_a_job_has_run(client: TestClient, tmp_path: Path) -> None:
    number = jobs.enqueue(tmp_path, PROJECT, "because").number
    assert told(client, "edgesam_learning_job_seconds") == [0]
    jobs.claim(tmp_path)
    with connected(tmp_path) as connection:
        connection.execute("UPDATE job SET started = '2026-11-22T13:38:31.000+00:00'")
    [seconds] = told(client, "edgesam_learning_job_seconds")
    assert seconds > 3600
    jobs.finish(tmp_path, number, "done")
    assert told(client, "edgesam_learning_job_seconds") == [0]


def test_the_figures_of_the_version_that_serves_and_of_no_other(client: TestClient, tmp_path: Path) -> None:
    first, second = learned(tmp_path, 1), learned(tmp_path, 2)
    name = "edgesam_serving_miou"
    assert told(client, name, project=PROJECT, version=second.name, prompt="click1", when="before") == [0.41]
    assert told(client, name, project=PROJECT, version=second.name, prompt="click1", when="after") == [0.62]
    assert len(told(client, name)) == 8
    choose(tmp_path, PROJECT, first.name)
    assert len(told(client, name, version=first.name)) == len(told(client, name)) == 8
    choose(tmp_path, PROJECT, None)
    assert told(client, name) == []


def test_figures_that_are_none_are_left_out(client: TestClient, tmp_path: Path) -> None:
    after = {"box": float("nan"), "click1": "62", "click2": None, "click3": 69.0}
    odd = {"project_before": None, "project_after": after}
    version = replace(learned(tmp_path, serves=False), number=2, name="odd-p27-v2", metrics=odd)
    record(tmp_path, version)
    choose(tmp_path, PROJECT, version.name)
    assert told(client, "edgesam_serving_miou") == [0.69]
    assert client.get("/learning").status_code == 200


def test_a_database_that_cannot_be_read_leaves_the_rest(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with capture_logs() as logs:
        page = client.get("/metrics")
    assert page.status_code == 200
    assert "edgesam_embeddings" in page.text
    assert "edgesam_learn" not in page.text
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["learning_unreadable"]
