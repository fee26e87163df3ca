"""What the people and programs ask that run the service."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from anyio.to_thread import run_sync
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from backend.server import metrics
from backend.server.learned_page import WHERE_REPORTS_ARE, learned_page, report_of
from backend.server.learning_metrics import learning_exposition
from backend.server.replies import GET_OR_HEAD, reply
from backend.server.services import Services, services_in

Found = TypeVar("Found")

router = APIRouter()


@router.api_route("/ready", methods=GET_OR_HEAD)
async def ready(request: Request) -> Response:
    """Whether a click would be answered at once."""
    loading = services_in(request).loading
    if loading.failure is not None:
        return reply({"status": "FAILED", "reason": loading.failure}, 503)
    if not loading.ready.done():
        return reply({"status": "LOADING", "reason": f"the weights {loading.wanted} are still being loaded"}, 503)
    engine = loading.ready.result()
    return reply({"status": "READY", "model_version": engine.version, "engine": engine.identity})


@router.api_route("/metrics", methods=GET_OR_HEAD)
async def prometheus(request: Request) -> Response:
    """For Prometheus."""
    return Response(await run_sync(_measured, services_in(request)), media_type=CONTENT_TYPE_LATEST)


def _measured(services: Services) -> bytes:
    cache = services.segmenter.embeddings
    metrics.show(cache.figures)
    if cache.files:
        metrics.embeddings_on_disk.set(cache.files.bytes())
    return metrics.exposition() + learning_exposition(services.settings.model_dir)


@router.api_route("/learning", methods=GET_OR_HEAD)
async def learning(request: Request) -> Response:
    """For people: what was learned for each project, and what the jobs say."""
    services = services_in(request)
    settings = services.settings
    show = partial(
        learned_page, settings.model_dir, services.loading.base, settings.edgesam_proposals, _gave_password(request)
    )
    return HTMLResponse(await run_sync(partial(_read, show), limiter=services.chores))


@router.api_route("/learning/{project}/{number}", methods=GET_OR_HEAD)
async def report(request: Request, project: str, number: str) -> Response:
    """For people: the page about a version. It shows the project's pictures, so it wants a password."""
    services = services_in(request)
    if not _gave_password(request):
        raise HTTPException(403, f"this shows the project's pictures: {WHERE_REPORTS_ARE}")
    find = partial(report_of, services.settings.model_dir, project, number)
    found = await run_sync(partial(_read, find), limiter=services.chores)
    if found is None:
        raise HTTPException(404, f"there is no page about version {number} of project {project}: /learning lists them")
    return HTMLResponse(found)


def _gave_password(request: Request) -> bool:
    """False where none is set."""
    return getattr(request.state, "known", False)


def _read(read: Callable[[], Found]) -> Found:
    """HTTPException 503 where MODEL_DIR/learning.sqlite cannot be read."""
    try:
        return read()
    except sqlite3.Error as error:
        raise HTTPException(503, f"what was learned cannot be read: {error}") from error
