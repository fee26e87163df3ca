"""What annotators accept in Label Studio is learned: Start Training, a new version, and back again.

PICTURES=docs/pictures .venv/bin/python -m pytest tests/system/test_learning.py   also takes a screenshot of /learning.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from backend.accepted import jobs
from backend.accepted.versions import versions_of
from backend.labelstudio import rle
from backend.learning.clicks import iou
from backend.settings import OWN_WEIGHTS
from demo.label_studio import call
from demo.project import INTERFACE, ask, connect, new_project, tasks, upload
from demo.services import patiently
from demo.serving import REPOSITORY, backend
from tests.system.conftest import eventually, free_port
from tests.system.masks import mask_of
from tests.system.prompts import click

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

WIDTH, HEIGHT = SIZE = 512, 384
RED, BLUE = (190, 70, 60), (60, 80, 170)
LABELLED, NEW = 12, 4
MINUTES = "1.5"
PATIENCE_SECONDS = 600
"""A job gives way to all else that runs on the machine."""


def ropes(seed):
    """A picture of four ropes of three beads, and their masks: a click on the blue bead means the whole rope."""
    random = np.random.default_rng(seed)
    picture = random.normal(150, 12, (HEIGHT, WIDTH, 3))
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    masks = []
    for column, row in ((1, 1), (3, 1), (1, 3), (3, 3)):
        centre_x, centre_y = column * WIDTH / 4 + random.uniform(-15, 15), row * HEIGHT / 4 + random.uniform(-15, 15)
        radius, angle = random.uniform(24, 30), random.uniform(0, np.pi)
        rope = np.zeros((HEIGHT, WIDTH), bool)
        for place, colour in ((-1.7, RED), (1.7, RED), (0, BLUE)):
            bead_x, bead_y = centre_x + place * radius * np.cos(angle), centre_y + place * radius * np.sin(angle)
            bead = np.hypot(x - bead_x, y - bead_y) < radius
            picture[bead] = random.normal(colour, 8, (int(bead.sum()), 3))
            rope |= bead
        masks.append((rope, (100 * centre_x / WIDTH, 100 * centre_y / HEIGHT)))
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(1.2)), masks


@pytest.fixture(scope="module")
def folder(graphs_folder, tmp_path_factory):
    """The backend's MODEL_DIR; its graphs are made already."""
    folder = tmp_path_factory.mktemp("learning")
    graphs_folder.mkdir(parents=True, exist_ok=True)
    (folder / "openvino").symlink_to(graphs_folder)
    return folder


@pytest.fixture(scope="module")
def variables(studio, token, folder):
    return {
        "LABEL_STUDIO_URL": studio.address,
        "LABEL_STUDIO_API_KEY": token,
        "MODEL_DIR": str(folder),
        "EDGESAM_WEIGHTS": str(OWN_WEIGHTS),
        "EDGESAM_FINETUNE_MINUTES": MINUTES,
        "EDGESAM_FINETUNE_EVERY": "0",
    }


@pytest.fixture
def learning(variables, folder):
    """The service of a backend that learns."""
    with backend(free_port(), variables, folder / "backend.log") as service:
        yield service


def test_what_was_accepted_is_learned_and_can_be_taken_back(api, page, picture, learning, variables, folder, tmp_path):
    drawn = {f"ropes-{number}.jpg": ropes(number) for number in range(LABELLED + NEW)}
    for name, (image, _) in drawn.items():
        image.save(tmp_path / name, quality=92)
    project = new_project(api, "Ropes", INTERFACE.read_text())
    upload(api, project, sorted(tmp_path.glob("*.jpg")))
    numbers = tasks(api, project)
    connected = connect(api, project, learning.address)
    base = named(api, project)
    new = list(drawn)[LABELLED:]

    def asked():
        """The masks of one click on each rope of the new pictures."""
        masks = []
        for name in new:
            for _, place in drawn[name][1]:
                answer = ask(api, connected, numbers[name], [click(SIZE, *place)])
                [region] = answer["data"]["result"]
                masks.append(mask_of(region))
        return masks

    def agreements(masks):
        """Their IoUs with what was drawn."""
        truths = [truth for name in new for truth, _ in drawn[name][1]]
        return [iou(truth, mask) for truth, mask in zip(truths, masks, strict=True)]

    before = asked()
    for name in list(drawn)[:LABELLED]:
        regions = [region(index, mask) for index, (mask, _) in enumerate(drawn[name][1])]
        call(api, "POST", f"/api/tasks/{numbers[name]}/annotations/", json={"result": regions})
    call(api, "POST", f"/api/ml/{connected}/train", json={})

    [job] = patiently(lambda: ended(folder), "the job ends", PATIENCE_SECONDS)
    assert job.state == "done", job.told
    [made] = versions_of(folder)
    version = f"{base}-p{project}-v1"
    assert (made.name, made.job) == (version, job.number)
    assert made.promoted, made.metrics["reason"]
    eventually(lambda: named(api, project) == version, "Label Studio is told the version")
    eventually(lambda: answered(api, connected, numbers[new[0]]) == version, "the version answers")
    assert np.mean(agreements(asked())) > np.mean(agreements(before))

    page.goto(f"{learning.address}/learning")
    assert version in page.inner_text("table")
    page.set_viewport_size({"width": 1500, "height": 460})
    picture("learning")

    assert "proposals are right" in job.told
    action = {"id": "retrieve_tasks_predictions", "project": project}
    call(api, "POST", "/api/dm/actions", params=action, json={"selectedItems": {"all": True, "excluded": []}})
    for name in new:
        [prediction] = predictions(api, numbers[name])
        assert prediction["model_version"] == version
        proposed = [mask_of(region) for region in prediction["result"]]
        assert sum(max(iou(rope, mask) for mask in proposed) > 0.5 for rope, _ in drawn[name][1]) >= 3, "of four ropes"
    assert not any(predictions(api, numbers[name]) for name in list(drawn)[:LABELLED]), "they are labelled"

    rolled_back = told(variables, "rollback", "--project", str(project), "--to", "base")
    assert "base serves now" in rolled_back
    again = asked()
    assert all((one == other).all() for one, other in zip(before, again, strict=True))
    assert named(api, project) == base
    assert version in told(variables, "versions", "--project", str(project))


def region(index, mask):
    """A mask that a person has drawn."""
    return {
        "id": f"rope-{index}",
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "origin": "manual",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": rle.encode(mask), "brushlabels": ["Thing"]},
    }


def named(api, project):
    """The version that the backend has told Label Studio."""
    [connected] = call(api, "GET", "/api/ml/", params={"project": project})
    return connected["model_version"]


def predictions(api, task):
    return call(api, "GET", "/api/predictions/", params={"task": task})


def answered(api, connected, task):
    """The version in an answer to a click."""
    return ask(api, connected, task, [click(SIZE, 50, 50)])["data"]["model_version"]


def ended(folder):
    found = jobs.jobs(folder)
    return found if all(job.ended for job in found) else None


def told(variables, *words):
    """What a command of the backend says."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", **variables}
    command = [sys.executable, "-m", "backend", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
