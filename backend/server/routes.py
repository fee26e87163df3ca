"""What Label Studio asks an ML backend."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import structlog
from anyio.to_thread import run_sync
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from backend.accepted.versions import versions_of
from backend.labelstudio.answering import answer
from backend.labelstudio.connections import remember
from backend.server import metrics
from backend.server.bodies import checked, json_of, shaped
from backend.server.hearing import HEARD, Asked, Event, UnclearError, ask, hear, named, renew
from backend.server.replies import GET_OR_HEAD, reply
from backend.server.services import Services, services_in

log = structlog.stdlib.get_logger("edgesam")

SETUP_WAIT = 2.0
"""Seconds that /setup waits for the name of the version; Label Studio gives up after three."""

ACTIONS = frozenset(
    f"{what}_{how}"
    for what in ("TASKS", "ANNOTATIONS", "ANNOTATION", "LABEL_LINK")
    for how in ("CREATED", "UPDATED", "DELETED")
) | {"PROJECT_UPDATED", "START_TRAINING"}
"""Actions that are counted by name: a caller cannot make up others and fill the memory."""


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
    """Label Studio sends project, hostname, access_token and schema, each a text."""

    project: str | int | None = None
    hostname: str | None = None
    access_token: str | None = None
    label_config: str | None = Field(None, alias="schema")


router = APIRouter()


@router.api_route("/", methods=GET_OR_HEAD)
@router.api_route("/health", methods=GET_OR_HEAD)
async def health() -> Response:
    """That the process lives; says nothing of the weights."""
    return reply({"status": "UP", "model_class": "EdgeSAMBackend"})


@router.post("/setup")
async def setup(request: Request) -> Response:
    """Label Studio introduces itself, over and over: on connecting, and whenever a page shows the project."""
    services = services_in(request)
    body = checked(SetupBody, await request.body())
    version = await run_sync(partial(_introduced, services, body), limiter=services.chores)
    return reply({"model_version": version})


def _introduced(services: Services, body: SetupBody) -> str:
    project = None if body.project is None else str(body.project)
    if body.hostname:
        folder, token, interface = services.settings.model_dir, body.access_token or "", body.label_config or ""
        remember(folder, str(project), body.hostname, token, interface)
    if project and (base := services.loading.base):
        _renew(services, project, base)
    return services.versions.name_for(services.loading.version(SETUP_WAIT), project)


def _renew(services: Services, project: str, base: str) -> None:
    """Label Studio is answered whether or not this can be written down."""
    try:
        if renew(services.ear, project, base):
            services.runner.wake()
    except (OSError, sqlite3.Error) as error:
        log.error("cannot_write_down", folder=str(services.settings.model_dir), message=str(error))


@router.post("/predict")
async def predict(request: Request) -> Response:
    """One entry per task, in order. Nothing is computed any more for a caller who has gone."""
    services = services_in(request)
    content = await request.body()
    gone = threading.Event()
    listening = asyncio.create_task(_listen(request, gone))
    try:
        return await run_sync(partial(_predicted, services, content, gone), limiter=services.predictions)
    finally:
        listening.cancel()


async def _listen(request: Request, gone: threading.Event) -> None:
    """The body is read: what comes now is that the caller hung up."""
    if (await request.receive())["type"] == "http.disconnect":
        gone.set()


def _predicted(services: Services, content: bytes, gone: threading.Event) -> Response:
    def go_on() -> None:
        if gone.is_set():
            raise ClientDisconnect

    body = checked(PredictBody, content)
    context = body.params.context
    try:
        project = None if body.project is None else str(body.project)
        began = time.perf_counter()
        results = answer(services.segmenter, body.tasks, body.label_config, context, project, go_on)
        if context and context.get("result"):
            metrics.click_seconds.observe(time.perf_counter() - began)
    finally:
        metrics.show(services.segmenter.embeddings.figures)
    return reply({"results": results})


@router.post("/webhook")
async def webhook(request: Request) -> Response:
    """Something happened in Label Studio: it is written down. A caller whom the door does not know is not heard."""
    if not getattr(request.state, "known", True):
        _tell_ignored()
        return reply({"status": "ignored"})
    services = services_in(request)
    content = await request.body()
    return await run_sync(partial(_heard, services, content), limiter=services.chores)


@cache
def _tell_ignored() -> None:
    """Once: each annotator's work would bring a line."""
    log.warning("webhooks_ignored", message="they come without the password: learning begins with Start Training")


def _heard(services: Services, content: bytes) -> Response:
    body = json_of(content)
    action = body.get("action") if isinstance(body, dict) else None
    metrics.webhooks.labels(action if isinstance(action, str) and action in ACTIONS else "other").inc()
    job = None
    if action in HEARD and "project" in body:  # else a webhook without its payload, or one that changes nothing
        job = _written(services, lambda: hear(services.ear, action, shaped(Event, body)))
    return _queued(services, job)


@router.post("/train")
async def train(request: Request) -> Response:
    """A route of label-studio-ml's own api, for whoever asks it; Label Studio 1.23 sends START_TRAINING to /webhook."""
    services = services_in(request)
    content = await request.body()
    return await run_sync(partial(_asked_to_train, services, content), limiter=services.chores)


def _asked_to_train(services: Services, content: bytes) -> Response:
    body = json_of(content)
    if not isinstance(body, dict):
        raise HTTPException(422, f"the body must be a JSON object, not {type(body).__name__}")
    event, data = body.get("event"), body.get("data")
    if event in HEARD and isinstance(data, dict):
        return _queued(services, _written(services, lambda: hear(services.ear, event, shaped(Event, data))))

    def asked() -> int:
        project = named(services.ear, shaped(Asked, data if isinstance(data, dict) and "project" in data else body))
        return ask(services.ear, project, "asked at /train")

    return _queued(services, _written(services, asked))


def _written(services: Services, write: Callable[[], int | None]) -> int | None:
    """What `write` gives. HTTPException: 422 where it is not understood, 503 where nothing can be written down."""
    try:
        return write()
    except UnclearError as error:
        raise HTTPException(422, str(error)) from error
    except (OSError, sqlite3.Error) as error:
        log.error("cannot_write_down", folder=str(services.settings.model_dir), message=str(error))
        raise HTTPException(503, f"this cannot be written down ({error}): make room and MODEL_DIR writable") from error


def _queued(services: Services, job: int | None) -> Response:
    if job is not None:
        services.runner.wake()
    return reply({"status": "ok", "job": None if job is None else str(job)}, 201)


@router.api_route("/versions", methods=GET_OR_HEAD)
async def versions(request: Request) -> Response:
    """The versions that can answer: the base, and those of all projects, since Label Studio does not say which asks."""
    services = services_in(request)
    names = await run_sync(partial(_version_names, services), limiter=services.chores)
    return reply({"versions": names})


def _version_names(services: Services) -> list[str]:
    base = services.loading.version(SETUP_WAIT)
    try:
        learned = [version.name for version in versions_of(services.settings.model_dir)]
    except sqlite3.Error as error:
        log.error("versions_unreadable", folder=str(services.settings.model_dir), message=str(error))
        learned = []
    return list(dict.fromkeys([base, *learned]))  # two Label Studios may have given two projects one number
