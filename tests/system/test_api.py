"""Over Label Studio's API: what reaches the backend, and what comes back of it."""

import io
import os
import subprocess
import sys

import pytest
from PIL import Image

from demo.label_studio import call
from demo.project import INTERFACE, PHOTOGRAPHS, ask, connect, new_project, tasks, upload
from demo.serving import REPOSITORY
from tests.system.conftest import eventually, requests_of
from tests.system.masks import EYE, HELMET, ellipse, holds, iou, mask_of
from tests.system.prompts import box, click

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ASTRONAUT, CAT = (512, 512), (451, 300)


@pytest.fixture
def asked(api, project):
    """asked(photograph, *prompts) -> the result regions."""

    def regions(photograph, *prompts):
        answer = ask(api, project.backend, project.tasks[photograph], list(prompts))
        assert not answer.get("errors"), answer
        return answer["data"]["result"]

    return regions


def predictions(api, task):
    return call(api, "GET", "/api/predictions/", params={"task": task})


def test_connecting(api, project):
    [connected] = call(api, "GET", "/api/ml/", params={"project": project.id})
    assert connected["readable_state"] == "Connected"
    assert connected["model_version"].startswith("edgesam")


def test_a_demo_that_comes_back_on_another_port_moves_its_connection(api, project, served):
    moved = served.address.replace("127.0.0.1", "localhost")
    assert moved != served.address
    for address in (moved, served.address):
        assert connect(api, project.id, address) == project.backend
        [connected] = call(api, "GET", "/api/ml/", params={"project": project.id})
        assert connected["url"] == address
        assert connected["is_interactive"]


def test_legacy_tokens_are_off_so_the_personal_access_token_brings_the_images(api):
    assert call(api, "GET", "/api/jwt/settings")["legacy_api_tokens_enabled"] is False


def test_opening_a_task_stores_no_prediction(api, project, served):
    before = len(requests_of(served, "/predict"))
    task = project.tasks["coffee.jpg"]
    call(api, "GET", f"/api/tasks/{task}/")
    eventually(lambda: len(requests_of(served, "/predict")) > before, "the task was offered to the backend")
    assert {request["status"] for request in requests_of(served, "/predict")} == {200}
    assert predictions(api, task) == []


def test_a_click(asked):
    [region] = asked("astronaut.jpg", click(ASTRONAUT, 80, 85, label="Thing"))
    assert (region["from_name"], region["to_name"], region["type"]) == ("mask", "image", "brushlabels")
    assert region["value"]["brushlabels"] == ["Thing"]
    assert 0 < region["score"] <= 1
    mask = mask_of(region)
    assert holds(mask, 80, 85)
    assert iou(mask, ellipse(ASTRONAUT, *HELMET)) > 0.75


def test_a_negative_click_takes_away(asked):
    [region] = asked("cat.jpg", click(CAT, 50, 40), click(CAT, 25, 85, positive=False))
    mask = mask_of(region)
    assert holds(mask, 50, 40)
    assert not holds(mask, 25, 85)


def test_only_a_negative_click_is_no_mask(asked):
    assert asked("cat.jpg", click(CAT, 25, 85, positive=False)) == []


def test_a_box(asked):
    [region] = asked("cat.jpg", box(CAT, 30, 28, 16, 22))
    assert region["value"]["brushlabels"] == ["Thing"]
    assert iou(mask_of(region), ellipse(CAT, *EYE)) > 0.7


def test_two_boxes_are_two_masks(asked):
    regions = asked("cat.jpg", box(CAT, 30, 28, 16, 22), box(CAT, 66, 37, 12, 18))
    left, right = map(mask_of, regions)
    assert regions[0]["id"] != regions[1]["id"]
    assert holds(left, 38, 38)
    assert holds(right, 72, 45)
    assert not (left & right).any()


def test_a_photograph_that_exif_turns(api, project, tmp_path):
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(stored_sideways(PHOTOGRAPHS / "cat.jpg"))
    upload(api, project.id, [turned])
    task = tasks(api, project.id)["turned.jpg"]
    answer = ask(api, project.backend, task, [box(CAT, 30, 28, 16, 22)])
    [region] = answer["data"]["result"]
    assert (region["original_width"], region["original_height"]) == CAT
    assert iou(mask_of(region), ellipse(CAT, *EYE)) > 0.7


def stored_sideways(photograph):
    """The same photograph as a camera held upright stores it: turned, with an EXIF Orientation that turns it back."""
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.open(photograph).transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


def test_retrieve_predictions_leaves_no_empty_tabs(api, project, served):
    before = len(requests_of(served, "/predict"))
    call(
        api,
        "POST",
        "/api/dm/actions",
        params={"id": "retrieve_tasks_predictions", "project": project.id},
        json={"selectedItems": {"all": True, "excluded": []}, "project": project.id},
    )
    eventually(lambda: len(requests_of(served, "/predict")) > before, "the backend was asked for predictions")
    assert [predictions(api, task) for task in project.tasks.values()] == [[] for _ in project.tasks]


def test_webhooks_are_welcome(api, project, asked, served):
    before = len(requests_of(served, "/webhook"))
    [region] = asked("rocket.jpg", box((640, 427), 45, 28, 12, 70))
    task = project.tasks["rocket.jpg"]
    annotation = call(api, "POST", f"/api/tasks/{task}/annotations/", json={"result": [region]})
    call(api, "PATCH", f"/api/annotations/{annotation['id']}/", json={"result": [region], "lead_time": 4})
    call(api, "DELETE", f"/api/annotations/{annotation['id']}/")
    call(api, "POST", f"/api/ml/{project.backend}/train", json={})
    eventually(lambda: len(requests_of(served, "/webhook")) >= before + 4, "created, updated, deleted, training")
    assert {200, 201} >= {request["status"] for request in requests_of(served, "/webhook")}


@pytest.fixture
def detected(api, served):
    """A new project with boxes of a detector, imported as detections are: {photograph: task}, and its number."""
    project = new_project(api, "Detections", INTERFACE.read_text())
    upload(api, project, [PHOTOGRAPHS / name for name in ("astronaut.jpg", "cat.jpg")])
    connect(api, project, served.address)
    by_name = tasks(api, project)
    value = {"x": 53, "y": 66, "width": 46, "height": 33.5, "rotation": 0, "rectanglelabels": ["Thing"]}
    found = {"from_name": "box", "to_name": "image", "type": "rectanglelabels", "value": value}
    for task in by_name.values():
        detection = {"task": task, "model_version": "detector", "result": [found]}
        call(api, "POST", "/api/predictions/", json=detection)
    return by_name, project


def made_of(api, detected):
    """The predictions with masks, by photograph; of the astronaut's helmet it is a good one."""
    by_name, _ = detected
    made = {
        name: [one for one in predictions(api, task) if one["model_version"] != "detector"]
        for name, task in by_name.items()
    }
    for [prediction] in made.values():
        assert prediction["model_version"].startswith("edgesam")
        assert [region["value"]["brushlabels"] for region in prediction["result"]] == [["Thing"]]
    [helmet] = made["astronaut.jpg"][0]["result"]
    assert iou(mask_of(helmet), ellipse(ASTRONAUT, *HELMET)) > 0.75
    return made


def test_boxes_of_a_detector_become_masks_when_predictions_are_retrieved(api, detected):
    """And once more: Label Studio asks for nothing twice."""
    action = {"id": "retrieve_tasks_predictions", "project": detected[1]}
    for _ in range(2):
        call(api, "POST", "/api/dm/actions", params=action, json={"selectedItems": {"all": True, "excluded": []}})
        made_of(api, detected)


def test_boxes_of_a_whole_project_become_masks_by_command(api, detected, studio, token, tmp_path):
    command = [sys.executable, "-m", "backend", "prelabel", "--project", str(detected[1])]
    variables = {"LABEL_STUDIO_URL": studio.address, "LABEL_STUDIO_API_KEY": token, "MODEL_DIR": str(tmp_path)}
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    for told in (
        "2 tasks got masks, 0 had them or have nothing to mask, 0 tasks failed",
        "0 tasks got masks, 2 had them or have nothing to mask, 0 tasks failed",
    ):
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == told
        made_of(api, detected)
