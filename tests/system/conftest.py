"""One real Label Studio and one real backend with its own weights, for all system tests."""

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from backend.settings import OWN_WEIGHTS
from demo.label_studio import Account, client, label_studio, new_token
from demo.project import INTERFACE, PHOTOGRAPHS, connect, new_project, tasks, upload
from demo.services import LOOPBACK, patiently
from demo.serving import REPOSITORY, backend
from tests.system.page import labelling_page

EXECUTABLE = REPOSITORY / ".venv-ls" / "bin" / "label-studio"
ACCOUNT = Account("system@example.com", "system-tests")
PATIENCE_SECONDS = 120


def required(path, what):
    """The path of a part, or the end of the test: a failure in CI, where nothing may be missing, else a skip."""
    if path and Path(path).exists():
        return Path(path)
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must run every test")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return required(found, "chromium (Debian: apt-get install chromium)")


@pytest.fixture(scope="session")
def studio(tmp_path_factory):
    """The service of a Label Studio as a fresh install is: legacy tokens are off."""
    executable = required(EXECUTABLE, f"{EXECUTABLE} (make demo installs it)")
    folder = tmp_path_factory.mktemp("label-studio")
    with label_studio(executable, folder, free_port(), ACCOUNT, folder / "label-studio.log") as service:
        yield service


@pytest.fixture(scope="session")
def token(studio):
    return new_token(studio.address, ACCOUNT)


@pytest.fixture(scope="session")
def api(studio, token):
    with client(studio.address, token) as api:
        yield api


@pytest.fixture(scope="session")
def served(studio, token, tmp_path_factory):
    """The service of the backend."""
    folder = tmp_path_factory.mktemp("backend")
    settings = {
        "LABEL_STUDIO_URL": studio.address,
        "LABEL_STUDIO_API_KEY": token,
        "MODEL_DIR": str(folder),
        "EDGESAM_WEIGHTS": str(OWN_WEIGHTS),
        "LOG_LEVEL": "info",
    }
    with backend(free_port(), settings, folder / "backend.log") as service:
        yield service


class Project:
    """A project of its own with the demo's interface and photographs, connected to the backend."""

    def __init__(self, api, served):
        self.id = new_project(api, "Photographs", INTERFACE.read_text())
        upload(api, self.id, sorted(PHOTOGRAPHS.glob("*.jpg")))
        self.backend = connect(api, self.id, served.address)
        self.tasks = tasks(api, self.id)


@pytest.fixture(scope="module")
def project(api, served):
    return Project(api, served)


@pytest.fixture(scope="module")
def page(chromium, studio):
    with labelling_page(chromium, studio.address, ACCOUNT) as page:
        yield page


@pytest.fixture
def picture(page):
    """picture(name) takes a screenshot into the folder that the variable PICTURES names, if it does."""
    folder = os.environ.get("PICTURES")

    def take(name):
        if folder:
            page.mouse.move(0, 0)
            page.screenshot(path=Path(folder) / f"{name}.jpg", quality=85)

    return take


def free_port():
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def requests_of(served, path):
    """What the backend logged of the requests to `path` so far."""
    lines = [json.loads(line) for line in served.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == "request" and line["path"] == path]


def eventually(ask, what):
    return patiently(ask, what, PATIENCE_SECONDS)
