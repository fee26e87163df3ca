"""What the people and programs ask that run the service."""

from __future__ import annotations

from anyio.to_thread import run_sync
from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from backend.server import metrics
from backend.server.replies import reply
from backend.server.services import Services, services_in

router = APIRouter()


@router.get("/ready")
async def ready(request: Request) -> Response:
    """Whether a click would be answered at once."""
    loading = services_in(request).loading
    if loading.failure is not None:
        return reply({"status": "FAILED", "reason": loading.failure}, 503)
    if not loading.ready.done():
        return reply({"status": "LOADING", "reason": f"the weights {loading.wanted} are still being loaded"}, 503)
    engine = loading.ready.result()
    return reply({"status": "READY", "model_version": engine.version, "engine": engine.identity})


@router.get("/metrics")
async def prometheus(request: Request) -> Response:
    """For Prometheus."""
    return Response(await run_sync(_measured, services_in(request)), media_type=CONTENT_TYPE_LATEST)


def _measured(services: Services) -> bytes:
    cache = services.segmenter.embeddings
    metrics.show(cache.figures)
    metrics.show_learning(services.settings.model_dir)
    if cache.files:
        metrics.embeddings_on_disk.set(cache.files.bytes())
    return metrics.exposition()
