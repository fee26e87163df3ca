"""In Label Studio's own page: a new task shows what looks like the project's accepted masks.

PICTURES=docs/pictures .venv/bin/python -m pytest tests/system/test_proposals_page.py   also takes a screenshot.
"""

from datetime import datetime

import numpy as np
import pytest
from PIL import Image, ImageFilter

from backend.accepted.versions import proposer_file
from backend.labelstudio.configured import engine_of, weights_of
from backend.learning.examples import example_of
from backend.learning.masks import Sample
from backend.learning.proposing import learned_proposals
from backend.learning.tuning import everyday_pictures
from backend.segmentation.familiar import familiar_with
from backend.segmentation.proposer_files import write_proposer
from backend.settings import OWN_WEIGHTS, read_settings
from demo.label_studio import call
from demo.project import INTERFACE, PHOTOGRAPHS, connect, new_project, tasks, upload
from demo.serving import backend
from tests.system.conftest import free_port
from tests.system.masks import iou, mask_of
from tests.system.page import open_task, submit

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

WIDTH, HEIGHT = 640, 480
LABELLED = 6
CELLS = (1, 2, 3, 4, 5, 6)


def cells(seed):
    """A picture as of a microscope, and its label map: cells, and small grains that are none."""
    random = np.random.default_rng(seed)
    picture = random.normal((226, 190, 205), 5, (HEIGHT, WIDTH, 3))
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    places = [(row, column) for row in (80, 240, 400) for column in (80, 240, 400, 560)]
    for number, place in enumerate(random.choice(len(places), 9, replace=False), start=1):
        cy, cx = places[place] + random.uniform(-25, 25, 2)
        turn, long, short = random.uniform(0, np.pi), random.uniform(34, 48), random.uniform(26, 34)
        along, across = (
            (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn),
            (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn),
        )
        if number not in CELLS:
            picture[np.hypot(x - cx, y - cy) < 9] = (60, 50, 40)
            continue
        cell = np.hypot(along / long, across / short) < 1
        picture[cell] = random.normal((165, 110, 170), 6, (int(cell.sum()), 3))
        core = np.hypot(along / long, across / short) < 0.4
        picture[core] = random.normal((95, 60, 130), 6, (int(core.sum()), 3))
        labels[cell] = number
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5)), labels


@pytest.fixture
def drawn(tmp_path):
    """Pictures beside their label maps in files: {name: label map}."""
    maps = {}
    for number in range(LABELLED + 1):
        picture, labels = cells(number)
        file = tmp_path / f"cells-{number}.jpg"
        picture.save(file, quality=92)
        Image.fromarray(labels).save(file.with_suffix(".png"))
        maps[file.name] = labels
    return maps


@pytest.fixture
def project(api, drawn, tmp_path):
    number = new_project(api, "Cells", INTERFACE.read_text())
    upload(api, number, sorted(tmp_path.glob("*.jpg")))
    return number


@pytest.fixture
def proposing(api, studio, token, graphs_folder, project, drawn, tmp_path):
    """The service of a backend that has learned the cells of all pictures but the last."""
    graphs_folder.mkdir(parents=True, exist_ok=True)
    models = tmp_path / "models"
    models.mkdir()
    (models / "openvino").symlink_to(graphs_folder)
    variables = {
        "LABEL_STUDIO_URL": studio.address,
        "LABEL_STUDIO_API_KEY": token,
        "MODEL_DIR": str(models),
        "EDGESAM_WEIGHTS": str(OWN_WEIGHTS),
    }
    settings = read_settings(**{name.lower(): value for name, value in variables.items()})
    engine = engine_of(settings, weights_of(settings))
    files = [tmp_path / name for name in list(drawn)[:LABELLED]]
    samples = [Sample("cells", file, file.with_suffix(".png"), CELLS) for file in files]
    pictures = [(example_of(engine, one), ("Thing",) * len(CELLS)) for one in samples]
    familiar = familiar_with([example.embedding for example, _ in pictures], everyday_pictures(engine))
    learned = learned_proposals(engine, pictures, familiar)
    made = datetime.fromisoformat(call(api, "GET", f"/api/projects/{project}/")["created_at"])
    key = f"{project}.{int(made.timestamp())}"
    write_proposer(learned.proposer, engine.version, learned.told, proposer_file(models, key))
    with backend(free_port(), variables, tmp_path / "backend.log") as service:
        yield service


def test_a_new_task_shows_them_and_they_can_be_submitted(api, studio, page, picture, proposing, project, drawn):
    connect(api, project, proposing.address)
    new = list(drawn)[LABELLED]
    open_task(page, studio.address, project, tasks(api, project)[new])
    page.wait_for_function("count => Htx.annotationStore.selected.regions.length === count", arg=len(CELLS))
    picture("proposals")
    stored = submit(page)["result"]
    assert [region["value"]["brushlabels"] for region in stored] == [["Thing"]] * len(CELLS)
    for cell in CELLS:
        assert max(iou(drawn[new] == cell, mask_of(region)) for region in stored) > 0.8


def test_a_task_that_shows_something_else_opens_without(api, studio, page, proposing, project):
    upload(api, project, [PHOTOGRAPHS / "cat.jpg"])
    connect(api, project, proposing.address)
    task = tasks(api, project)["cat.jpg"]
    open_task(page, studio.address, project, task)
    assert page.evaluate("() => Htx.annotationStore.selected.regions.length") == 0
    assert call(api, "GET", "/api/predictions/", params={"task": task}) == []
