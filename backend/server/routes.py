"""What Label Studio asks an ML backend, and what operators ask it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import orjson
import structlog
from anyio.to_thread import run_sync
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from backend.labelstudio.answering import Segmenter, answer
from backend.labelstudio.connections import remember
from backend.server import metrics
from backend.server.loading import Loading
from backend.server.replies import reply

log = structlog.stdlib.get_logger("edgesam")

SETUP_WAIT = 2.0
"""Seconds that /setup waits for the name of the version; Label Studio gives up after three."""

ACTIONS = frozenset(
    f"{what}_{how}"
    for what in ("TASKS", "ANNOTATIONS", "ANNOTATION", "LABEL_LINK")
    for how in ("CREATED", "UPDATED", "DELETED")
) | {"PROJECT_UPDATED", "START_TRAINING"}
"""Actions that are counted by name: a caller cannot make up others and fill the memory."""


@dataclass(frozen=True)
class Services:
    """What the routes work with: one set for a process."""

    loading: Loading
    segmenter: Segmenter
    model_dir: Path
    predictions: anyio.CapacityLimiter
    """How many predictions run at once."""
    chores: anyio.CapacityLimiter
    """For /setup and /versions: short, many at once, and never behind predictions."""


Shape = TypeVar("Shape", bound=BaseModel)


class PredictParams(BaseModel):
    """`context` is None where no click was made."""

    context: dict[str, Any] | None = None


class PredictBody(BaseModel):
    """Label Studio sends tasks, label_config and params, an object with the context of a click or null."""

    tasks: list[dict[str, Any]]
    label_config: str
    params: PredictParams
    project: str | int | None = None


class SetupBody(BaseModel):
    """Label Studio sends project, hostname and access_token, each a text."""

    project: str | int | None = None
    hostname: str | None = None
    access_token: str | None = None


router = APIRouter()


@router.get("/")
@router.get("/health")
async def health() -> Response:
    """That the process lives; says nothing of the weights."""
    return reply({"status": "UP", "model_class": "EdgeSAMBackend"})


@router.get("/ready")
async def ready(request: Request) -> Response:
    """Whether a click would be answered at once."""
    loading = _services(request).loading
    if loading.failure is not None:
        return reply({"status": "FAILED", "reason": loading.failure}, 503)
    if not loading.ready.done():
        return reply({"status": "LOADING", "reason": f"the weights {loading.wanted} are still being loaded"}, 503)
    engine = loading.ready.result()
    return reply({"status": "READY", "model_version": engine.version, "engine": engine.identity})


@router.post("/setup")
async def setup(request: Request) -> Response:
    """Label Studio introduces itself, over and over: on connecting, and whenever a page shows the project."""
    services = _services(request)
    body = _checked(SetupBody, await request.body())
    version = await run_sync(partial(_introduced, services, body), limiter=services.chores)
    return reply({"model_version": version})


def _introduced(services: Services, body: SetupBody) -> str:
    if body.hostname:
        remember(services.model_dir, str(body.project), body.hostname, body.access_token or "")
    return services.loading.version(SETUP_WAIT)


@router.post("/predict")
async def predict(request: Request) -> Response:
    """One entry per task, in order."""
    services = _services(request)
    content = await request.body()
    return await run_sync(partial(_predicted, services, content), limiter=services.predictions)


def _predicted(services: Services, content: bytes) -> Response:
    body = _checked(PredictBody, content)
    try:
        project = None if body.project is None else str(body.project)
        results = answer(services.segmenter, body.tasks, body.label_config, body.params.context, project)
    finally:
        metrics.show(services.segmenter.embeddings.figures)
    return reply({"results": results})


@router.post("/webhook")
async def webhook(request: Request) -> Response:
    """Something happened in Label Studio. It is only counted; a caller whom the door does not know is not heard."""
    if not getattr(request.state, "known", True):
        return reply({"status": "ignored"})
    body = _json(await request.body())
    action = body.get("action") if isinstance(body, dict) else None
    metrics.webhooks.labels(action if isinstance(action, str) and action in ACTIONS else "other").inc()
    return reply({"status": "ok", "job": None}, 201)


@router.post("/train")
async def train() -> Response:
    """A route of label-studio-ml's own api, for whoever asks it; Label Studio 1.23 sends START_TRAINING to /webhook."""
    return reply({"status": "ok", "job": None}, 201)


@router.get("/versions")
async def versions(request: Request) -> Response:
    """The versions that can answer: the one that is loaded."""
    services = _services(request)
    version = await run_sync(partial(services.loading.version, SETUP_WAIT), limiter=services.chores)
    return reply({"versions": [version]})


@router.get("/metrics")
async def prometheus(request: Request) -> Response:
    """For Prometheus."""
    return Response(await run_sync(_measured, _services(request)), media_type=CONTENT_TYPE_LATEST)


def _measured(services: Services) -> bytes:
    cache = services.segmenter.embeddings
    metrics.show(cache.figures)
    if cache.files:
        metrics.embeddings_on_disk.set(cache.files.bytes())
    return metrics.exposition()


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from error


def _checked(shape: type[Shape], content: bytes) -> Shape:
    """The body in its shape. Raises HTTPException: 400 where it is no JSON, 422 where something is missing or wrong."""
    parsed = _json(content)
    if not isinstance(parsed, dict):
        raise HTTPException(422, f"the body must be a JSON object, not {type(parsed).__name__}")
    try:
        return shape.model_validate(parsed)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise HTTPException(422, f"{told} ({shape.__doc__})") from error
