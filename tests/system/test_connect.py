"""`connect` and `doctor` on a project of a real Label Studio, when all is well and when it is not."""

import os
import subprocess
import sys

import httpx
import pytest

from demo.label_studio import call
from demo.project import INTERFACE, PHOTOGRAPHS, new_project, upload
from demo.serving import LEFT_OUT, REPOSITORY
from tests.system.conftest import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

ASKING = '<KeyPointLabels name="click" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>'
WITHOUT_MASKS = f'<View>{ASKING}<Image name="image" value="$image"/></View>'


@pytest.fixture(scope="module")
def number(api):
    """A project to which nothing is connected."""
    number = new_project(api, "To be connected", INTERFACE.read_text())
    upload(api, number, [PHOTOGRAPHS / "cat.jpg"])
    return number


@pytest.fixture
def called(studio, token, served, number, tmp_path):
    """called(verb, words..., VARIABLE=value) -> exit status, output. The backend has its weights."""
    eventually(lambda: httpx.get(f"{served.address}/ready").is_success, "the weights are loaded")
    inherited = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    ours = {"PYTHONPATH": str(REPOSITORY), "MODEL_DIR": str(tmp_path), "LABEL_STUDIO_URL": studio.address}
    ours |= {"LABEL_STUDIO_API_KEY": token, "PORT": served.address.rpartition(":")[2]}

    def call_it(verb, *words, **variables):
        ended = subprocess.run(
            [sys.executable, "-m", "backend", verb, "--project", str(number), *words],
            env=inherited | ours | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert token not in ended.stdout + ended.stderr
        assert ended.stderr == ""
        return ended.returncode, ended.stdout

    return call_it


def crossed(output):
    """The lines with a cross, by what they are of."""
    return {line[2:15].strip(): line[15:] for line in output.splitlines() if line.startswith("✗")}


def test_a_project_is_connected_once_and_is_well(api, called, number, served, studio):
    code, output = called("doctor")
    assert (code, list(crossed(output))) == (1, ["connection"])
    for _ in range(2):
        code, output = called("connect")
        assert (code, crossed(output)) == (0, {})
        assert output.splitlines()[-1].endswith(f"{studio.address}/projects/{number}/data")
        [model] = call(api, "GET", "/api/ml/", params={"project": number})
        assert (model["url"], model["is_interactive"], model["readable_state"]) == (served.address, True, "Connected")
    code, output = called("doctor")
    assert (code, crossed(output)) == (0, {})
    assert "All is well" in output


def test_a_wrong_token(called):
    code, output = called("doctor", LABEL_STUDIO_API_KEY="0bad" * 10)
    assert (code, list(crossed(output))) == (1, ["token"])
    assert called("connect", LABEL_STUDIO_API_KEY="0bad" * 10)[0] == 1


def test_a_model_that_is_not_interactive_is_told_and_switched_on(api, called, number):
    assert called("connect")[0] == 0
    [model] = call(api, "GET", "/api/ml/", params={"project": number})
    off = {"project": number, "url": model["url"], "is_interactive": False}
    call(api, "PATCH", f"/api/ml/{model['id']}", json=off)
    code, output = called("doctor")
    assert (code, list(crossed(output))) == (1, ["interactive"])
    code, output = called("connect")
    assert (code, "was off, and is on now" in output) == (0, True)
    [again] = call(api, "GET", "/api/ml/", params={"project": number})
    assert (again["id"], again["is_interactive"]) == (model["id"], True)


def test_an_interface_without_anything_that_holds_a_mask(api, called, number):
    assert called("connect")[0] == 0
    call(api, "PATCH", f"/api/projects/{number}/", json={"label_config": WITHOUT_MASKS})
    try:
        code, output = called("doctor")
        assert (code, list(crossed(output))) == (1, ["interface"])
        assert '<Label value="Cat"/></BrushLabels>' in crossed(output)["interface"]
        code, output = called("connect")
        assert (code, list(crossed(output))) == (0, ["interface"])
    finally:
        call(api, "PATCH", f"/api/projects/{number}/", json={"label_config": INTERFACE.read_text()})


def test_a_refusal_is_told_in_label_studios_words(api, called, number):
    before = call(api, "GET", "/api/ml/", params={"project": number})
    code, output = called("connect", "--backend", "http://127.0.0.1:9")
    assert (code, list(crossed(output))) == (1, ["connection"])
    assert "health check failed" in crossed(output)["connection"]
    assert len(call(api, "GET", "/api/ml/", params={"project": number})) == len(before)
