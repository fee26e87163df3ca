"""Images are encoded before anybody clicks on them: when a task is opened, and for a whole project."""

import os
import subprocess
import sys

import httpx
import pytest

from backend.settings import OWN_WEIGHTS
from demo.label_studio import call
from demo.project import PHOTOGRAPHS, ask
from demo.serving import REPOSITORY, backend
from tests.system.conftest import Project, eventually, free_port
from tests.system.prompts import click

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ALL = len(list(PHOTOGRAPHS.glob("*.jpg")))


@pytest.fixture
def variables(studio, token, graphs_folder, tmp_path):
    """The settings of a backend that has seen no image yet, but has its graphs."""
    graphs_folder.mkdir(parents=True, exist_ok=True)
    (tmp_path / "openvino").symlink_to(graphs_folder)
    return {
        "LABEL_STUDIO_URL": studio.address,
        "LABEL_STUDIO_API_KEY": token,
        "MODEL_DIR": str(tmp_path),
        "EDGESAM_WEIGHTS": str(OWN_WEIGHTS),
        "LOG_LEVEL": "debug",
    }


def kept(folder):
    return len(list((folder / "embeddings").glob("*.embedding")))


def figure(served, name):
    page = httpx.get(f"{served.address}/metrics").text
    [line] = [line for line in page.splitlines() if line.startswith(f'edgesam_embeddings{{figure="{name}"}}')]
    return float(line.split()[-1])


def test_the_opened_task_and_the_next_ones(api, variables, tmp_path):
    with backend(free_port(), variables, tmp_path / "backend.log") as served:
        project = Project(api, served)
        first, *_ = sorted(project.tasks.values())
        call(api, "GET", f"/api/tasks/{first}/")
        eventually(lambda: kept(tmp_path) == 3, "the opened task's image and the next two are encoded")
        misses = figure(served, "misses")
        for task in sorted(project.tasks.values())[:3]:
            assert ask(api, project.backend, task, [click((512, 512), 50, 50)])["data"]["result"]
        assert figure(served, "misses") == misses == 3


def test_a_whole_project(api, project, variables):
    command = [sys.executable, "-m", "backend", "precompute", "--project", str(project.id)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    for told in (f"{ALL} images encoded, 0 known, 0 tasks failed", f"0 images encoded, {ALL} known, 0 tasks failed"):
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == told
