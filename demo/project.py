"""The demo's project in Label Studio: photographs, labelling interface, backend, and one click."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from demo.label_studio import call

HERE = Path(__file__).parent
PHOTOGRAPHS = HERE / "photographs"
INTERFACE = HERE / "interface.xml"
TITLE = "EdgeSAM demo"


def ensure_project(studio: httpx.Client) -> int:
    """The id of the demo's project, made when there is none, filled with the photographs when it is empty."""
    listed = call(studio, "GET", "/api/projects/", params={"page_size": 1000})["results"]
    found = next((int(project["id"]) for project in listed if project["title"] == TITLE), None)
    project = found or new_project(studio, TITLE, INTERFACE.read_text())
    if not tasks(studio, project):
        upload(studio, project, sorted(PHOTOGRAPHS.glob("*.jpg")))
    return project


def new_project(studio: httpx.Client, title: str, interface: str) -> int:
    """Makes an empty project; returns its id."""
    made = call(studio, "POST", "/api/projects/", json={"title": title, "label_config": interface})
    return int(made["id"])


def upload(studio: httpx.Client, project: int, photographs: Sequence[Path]) -> None:
    """One task a photograph."""
    files = {path.name: (path.name, path.read_bytes(), "image/jpeg") for path in photographs}
    call(studio, "POST", f"/api/projects/{project}/import", files=files)


def connect(studio: httpx.Client, project: int, backend: str) -> int:
    """Connects the backend with interactive pre-annotation on, or moves an old connection; returns its id."""
    wanted = {"project": project, "url": backend, "title": "EdgeSAM", "is_interactive": True}
    connected = call(studio, "GET", "/api/ml/", params={"project": project})
    if not connected:
        return int(call(studio, "POST", "/api/ml/", json=wanted)["id"])
    first = int(connected[0]["id"])
    if connected[0]["url"] != backend or not connected[0]["is_interactive"]:
        call(studio, "PATCH", f"/api/ml/{first}", json=wanted)
    return first


def tasks(studio: httpx.Client, project: int) -> dict[str, int]:
    """The id of each task by the name of its photograph."""
    listed = call(studio, "GET", "/api/tasks/", params={"project": project, "page_size": 1000, "fields": "all"})
    return {_name(task): int(task["id"]) for task in listed["tasks"]}


def _name(task: dict[str, Any]) -> str:
    """Label Studio stores an upload as /data/upload/<project>/<hash>-<name>."""
    return str(task["data"]["image"]).rpartition("/")[2].partition("-")[2]


def ask(studio: httpx.Client, backend: int, task: int, regions: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page does when somebody clicks: returns the answer whole, with `data` or `errors`."""
    wanted = {"task": task, "context": {"result": regions}}
    return dict(call(studio, "POST", f"/api/ml/{backend}/interactive-annotating", json=wanted))
