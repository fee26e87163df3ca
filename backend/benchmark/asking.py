"""Asks a backend as Label Studio does, and takes the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from backend.benchmark.errors import BenchmarkError
from backend.benchmark.studio import Task
from backend.segmentation.prompts import Point

LONGEST_SECONDS = 100
"""Label Studio gives up then."""

INTERFACE = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image"><Label value="Thing"/></BrushLabels>
  <KeyPointLabels name="click" toName="image" smart="true"><Label value="Thing"/></KeyPointLabels>
</View>"""


NONE_KEPT = httpx.Limits(max_keepalive_connections=0)
"""Label Studio makes a connection for each request; one that was kept could have been closed meanwhile, too."""


@contextmanager
def connected(address: str) -> Iterator[httpx.Client]:
    """What asks the backend; user and password may stand in the address. Raises BenchmarkError where it is none."""
    headers = {"Accept-Encoding": "gzip, deflate"}  # as Label Studio's; httpx may take more
    try:
        client = httpx.Client(
            base_url=address, headers=headers, timeout=LONGEST_SECONDS, limits=NONE_KEPT, trust_env=False
        )
    except httpx.InvalidURL as error:
        raise BenchmarkError(f"{address!r} is no address of a backend: {error}") from None
    with client:
        yield client


def click(backend: httpx.Client, task: Task, point: Point) -> float:
    """Seconds from a click until its answer is here. Raises BenchmarkError where it is none."""
    return _asked(backend, task, {"result": [_region(task, point)]})


def open_task(backend: httpx.Client, task: Task) -> float:
    """Seconds of the request that the page sends when a task is opened. Raises BenchmarkError."""
    return _asked(backend, task, None)


def ready(backend: httpx.Client) -> dict[str, Any] | None:
    """What /ready says of the model; None where it is still loading or nobody listens yet. Raises BenchmarkError."""
    try:
        answer = backend.get("/ready")
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        return None
    except httpx.HTTPError as error:
        raise BenchmarkError(f"{_shown(backend)}/ready does not answer: {error}") from None
    told = _json(answer)
    if answer.status_code == httpx.codes.OK:
        return told
    if told.get("status") == "LOADING":
        return None
    raise BenchmarkError(f"{_shown(backend)}/ready answered {answer.status_code}: {answer.text[:300]}")


def _asked(backend: httpx.Client, task: Task, context: dict[str, Any] | None) -> float:
    body = {
        "tasks": [{"id": task.number, "data": {"image": task.address}, "annotations": [], "predictions": []}],
        "project": "1.1700000000",
        "label_config": INTERFACE,
        "params": {"login": None, "password": None, "context": context},
    }
    started = time.perf_counter()
    try:
        answer = backend.post("/predict", json=body)
    except httpx.HTTPError as error:
        raise BenchmarkError(f"{_shown(backend)}/predict does not answer: {error or type(error).__name__}") from None
    seconds = time.perf_counter() - started
    if answer.status_code != httpx.codes.OK:
        raise BenchmarkError(f"{_shown(backend)}/predict answered {answer.status_code}: {answer.text[:300]}")
    results = _json(answer).get("results")
    if not isinstance(results, list) or len(results) != 1:
        raise BenchmarkError(f"{_shown(backend)}/predict did not answer for one task: {answer.text[:300]}")
    return seconds


def _region(task: Task, point: Point) -> dict[str, Any]:
    width, height = task.photograph.width, task.photograph.height
    place = {"x": 100 * point[0] / width, "y": 100 * point[1] / height, "width": 0.3}
    return {
        "id": "benchmark",
        "type": "keypointlabels",
        "from_name": "click",
        "to_name": "image",
        "origin": "manual",
        "is_positive": True,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {**place, "labels": ["Thing"], "keypointlabels": ["Thing"]},
    }


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _shown(backend: httpx.Client) -> str:
    """The backend's address without a password."""
    return str(backend.base_url.copy_with(userinfo=b"")).rstrip("/")
