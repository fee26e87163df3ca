"""EdgeSAMBackend behind label-studio-ml: 1.0.9 with its own api, and 2.x's calling convention.

Each runs in a process of its own: two packages of one name, and 1.0.9 changes how processes are started.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.labelstudio import rle
from tests.recordings import recordings, requests_of

ROOT = Path(__file__).parents[2]
STANDIN = Path(__file__).parent / "label_studio_ml_2"
RECORDED = dict(recordings())
TOKEN = "legacy"  # what the stand-in for Label Studio takes


def body_of(name, path):
    return next(one["body"] for one in reversed(requests_of(RECORDED[name])) if one["path"] == path)


def ask(api, folder, requests):
    paths = [str(ROOT)] if api == "1.0.9" else [str(STANDIN), str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MODEL_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.labelstudio.serve_label_studio_ml", api, str(folder)],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr + done.stdout


REQUESTS = [
    ("/setup", {**body_of("01-connect", "/setup"), "access_token": TOKEN}),
    ("/predict", body_of("02-open-task-plain-predict", "/predict")),
    ("/predict", body_of("03-click", "/predict")),
    ("/predict", body_of("06-only-negative", "/predict")),
    ("/predict", body_of("08-second-box-same-label", "/predict")),
    ("/predict", body_of("50-retrieve-predictions", "/predict")),
]


@pytest.mark.parametrize("api", ["1.0.9", "2"])
def test_the_answers_are_the_same_behind_label_studio_ml(tmp_path, api):
    answers, _ = ask(api, tmp_path, REQUESTS)
    assert [status for status, _ in answers] == [200] * len(REQUESTS)
    connected, opened, clicked, negative, boxes, retrieved = (answer for _, answer in answers)
    assert connected["model_version"] == ("disc-v1" if api == "2" else "INITIAL")
    assert opened["results"] == [[]]
    [prediction] = clicked["results"]
    assert prediction["model_version"] == "disc-v1"
    [region] = prediction["result"]
    assert (region["from_name"], region["value"]["brushlabels"]) == ("brush", ["Object"])
    assert rle.decode(region["value"]["rle"], 800, 534)[374, 264]
    assert negative["results"] == [{"result": [], "score": 0.0, "model_version": "disc-v1"}]
    assert len(boxes["results"][0]["result"]) == 2
    assert retrieved["results"] == [[], [], []]


def test_what_cannot_be_answered_leaves_a_line_in_the_log(tmp_path):
    broken = {**body_of("03-click", "/predict")}
    broken["tasks"] = [{**broken["tasks"][0], "data": {}}]
    [_, (status, _)], output = ask("1.0.9", tmp_path, [REQUESTS[0], ("/predict", broken)])
    assert status == 500
    assert "unanswered" in output
    assert "the task's data has no address there" in output
    assert TOKEN not in output


def test_2x_hears_of_annotations_and_trains_nothing(tmp_path):
    [(_, answer)], _ = ask("2", tmp_path, [("/webhook", body_of("46-start-training", "/webhook"))])
    assert answer == {"result": None, "status": "ok"}


@pytest.mark.parametrize("missing", ["label_studio_ml", "redis"])
def test_without_label_studio_ml_the_import_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "backend.labelstudio.ml_backend", raising=False)
    with pytest.raises(ImportError, match=r"pip install --no-deps label-studio-ml==1\.0\.9"):
        importlib.import_module("backend.labelstudio.ml_backend")
