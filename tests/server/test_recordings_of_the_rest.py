"""Every recorded request of a real Label Studio that is not a prediction, replayed: what was asked before it, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

RECORDINGS = Path(__file__).parent.parent / "recordings"

EXPECTED: dict[tuple[str, str], tuple[int, Any]] = {
    ("GET", "/health"): (200, {"status": "UP", "model_class": "EdgeSAMBackend"}),
    ("POST", "/setup"): (200, {"model_version": "standin-01234567"}),
    ("GET", "/versions"): (200, {"versions": ["standin-01234567"]}),
    ("POST", "/webhook"): (201, {"status": "ok", "job": None}),
}


def recorded() -> list[Any]:
    cases = []
    for file in sorted(RECORDINGS.glob("*.json")):
        case = json.loads(file.read_text())
        asked = [one for one in [*case["requests_before"], case["request"]] if one and one["path"] != "/predict"]
        if asked:
            cases.append(pytest.param(asked, id=case["case"]))
    return cases


@pytest.mark.parametrize("asked", recorded())
def test_label_studio_is_answered(client: TestClient, asked: list[dict[str, Any]]) -> None:
    for one in asked:
        answer = client.request(one["method"], one["path"], json=one["body"] or None)
        status, expected = EXPECTED[one["method"], one["path"]]
        if one["body"] and one["body"].get("action") == "START_TRAINING":
            expected = {"status": "ok", "job": "1"}
        assert (answer.status_code, answer.json()) == (status, expected)


def test_the_recordings_are_all_there() -> None:
    assert {one.id for one in recorded()} >= {
        "01-connect", "01b-settings-page", "01c-connect-with-extra-params", "01d-setup-fails",
        "40-webhook-tasks-created", "41-webhook-annotation-created", "42-webhook-annotation-updated",
        "43-webhook-annotations-deleted", "44-webhook-project-updated", "45-config-changed", "46-start-training",
        "47-webhook-annotations-created", "48-webhook-tasks-deleted", "52-versions", "53-patch-model-version",
        "60-basic-auth",
    }  # fmt: skip


def test_the_setup_of_a_recording_is_remembered(app: FastAPI, client: TestClient, tmp_path: Path) -> None:
    """What connecting tells lets images be fetched later, in every process and after a restart."""
    from backend.labelstudio.connections import recall

    asked = json.loads((RECORDINGS / "01-connect.json").read_text())["request"]["body"]
    for _ in range(3):
        client.post("/setup", json=asked)
    told = recall(tmp_path, asked["project"])
    assert told is not None
    assert (told.hostname, told.token) == (asked["hostname"], asked["access_token"])
