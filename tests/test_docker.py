"""What docker/ holds for those who run the service is valid, and asks for figures that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from backend.server.app import create_app
from backend.settings import Settings, read_settings
from tests.server.learned import learned
from tests.server.standins import IdleRunner, body, click, loaded, picture

DOCKER = Path(__file__).parent.parent / "docker"
KUBERNETES = list(yaml.safe_load_all((DOCKER / "kubernetes.yaml").read_text()))


@pytest.mark.parametrize("manifest", KUBERNETES, ids=[manifest["kind"] for manifest in KUBERNETES])
def test_a_manifest_is_what_kubernetes_knows(manifest: dict[str, object]) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_a_pod_gets_settings_that_there_are_and_the_port_of_the_image() -> None:
    [pod] = [one["spec"]["template"]["spec"] for one in KUBERNETES if one["kind"] == "Deployment"]
    [container] = pod["containers"]
    assert {one["name"] for one in container["env"]} <= {name.upper() for name in Settings.model_fields}
    image = (DOCKER.parent / "Dockerfile").read_text()
    assert f"PORT={container['ports'][0]['containerPort']}" in image
    assert f"USER {pod['securityContext']['runAsUser']}" in image
    assert any(f"VOLUME {mount['mountPath']}\n" in image for mount in container["volumeMounts"])


@pytest.mark.parametrize("file", ["grafana.json", "alerts.yaml"])
def test_every_figure_that_is_asked_for_is_told(tmp_path: Path, file: str) -> None:
    learned(tmp_path)
    with TestClient(create_app(read_settings(model_dir=tmp_path), loaded, IdleRunner)) as client:
        assert client.post("/predict", json=body(picture(), click())).status_code == 200
        assert client.post("/predict", json=body("http://127.0.0.1:1/none.jpg", click())).status_code == 502
        page = list(text_string_to_metric_families(client.get("/metrics").text))
    samples = [sample for family in page for sample in family.samples]
    told = {sample.name for sample in samples} | {family.name for family in page}
    text = (DOCKER / file).read_text().replace('\\"', '"')
    asked = set(re.findall(r"edgesam_\w+", text))
    assert len(asked) > 3
    assert asked <= told
    for name, label in re.findall(r"(edgesam_\w+)\{(\w+)[=!]", text):
        assert any(label in sample.labels for sample in samples if sample.name == name), f"{name} has no {label}"


def test_each_panel_of_the_dashboard_asks_something() -> None:
    board = json.loads((DOCKER / "grafana.json").read_text())
    assert all(panel["targets"] and all(one["expr"] for one in panel["targets"]) for panel in board["panels"])
