"""The service of one process: its parts put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import structlog
from anyio.to_thread import run_sync
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

from backend import __version__
from backend.labelstudio.configured import project_versions_of, segmenter_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.server import metrics, operators, routes
from backend.server.doors import BodyDoor, PasswordDoor
from backend.server.eyes import Eyes
from backend.server.hearing import Ear
from backend.server.loading import Loading, load_configured
from backend.server.replies import error_reply
from backend.server.runner import Runner, runner_of
from backend.server.services import Services
from backend.settings import Settings

log = structlog.stdlib.get_logger("edgesam")

STATUS_OF_LINK = {"image": 502, "label studio": 502, "weights": 503}
"""What we could not get; every other broken link is in what the caller sent: 422."""

PREDICTIONS = 64
"""Threads for predictions. THREADS of them work (Segmenter.at_once), the others wait for a picture's server."""

GZIP_LEAST, GZIP_LEVEL = 4096, 1
"""Bytes from which an answer is worth it. The first level takes half the time of the fourth, for a sixth more bytes."""


def create_app(
    settings: Settings,
    load: Callable[[Settings], Loading] = load_configured,
    run: Callable[[Settings], Runner] = runner_of,
) -> FastAPI:
    """The service. Loading begins when it starts, beside it. run: makes what runs the jobs that it queues."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        runner = run(settings)
        app.state.services = services_of(settings, load(settings), runner)
        runner.wake()  # jobs may have waited since the service ended
        try:
            yield
        finally:
            await run_sync(runner.stop)

    app = FastAPI(
        title="EdgeSAM for Label Studio",
        version=__version__,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=_middleware(settings),
        exception_handlers={HTTPException: _refused, Unanswerable: _unanswered},
    )
    app.include_router(routes.router)
    app.include_router(operators.router)
    return app


def services_of(settings: Settings, loading: Loading, runner: Runner) -> Services:
    """What the routes work with. Must be called in the event loop that serves."""
    versions = project_versions_of(settings)
    segmenter = segmenter_of(
        settings, loading.engine, lambda step, seconds: metrics.steps.labels(step).observe(seconds), versions
    )
    ear = Ear(settings.model_dir, settings.edgesam_finetune_every, lambda: _base_name(loading))
    predictions, chores = anyio.CapacityLimiter(PREDICTIONS), anyio.CapacityLimiter(64)
    return Services(loading, segmenter, versions, ear, runner, settings, predictions, chores)


def _base_name(loading: Loading) -> str:
    """What is heard is written down, whether or not there are weights."""
    try:
        return loading.version(0)
    except Unanswerable:
        return loading.wanted


def _middleware(settings: Settings) -> list[Middleware]:
    """Outermost first."""
    doors = [Middleware(BodyDoor, limit_mb=settings.edgesam_max_body_mb)]
    if settings.basic_auth_user is not None and settings.basic_auth_pass is not None:
        password = settings.basic_auth_pass.get_secret_value()
        doors.insert(0, Middleware(PasswordDoor, user=settings.basic_auth_user, password=password))
    return [Middleware(Eyes), Middleware(GZipMiddleware, minimum_size=GZIP_LEAST, compresslevel=GZIP_LEVEL), *doors]


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    log.warning("refused", status=error.status_code, message=str(error.detail))
    return error_reply(error.status_code, "request", str(error.detail), error.headers)


async def _unanswered(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Unanswerable)
    metrics.unanswered.labels(error.link).inc()
    log.warning("unanswered", link=error.link, message=str(error))
    return error_reply(STATUS_OF_LINK.get(error.link, 422), error.link, str(error))
