"""What Prometheus is told. With several processes each writes files of its own, and whoever is asked adds them up."""

from __future__ import annotations

import os
from dataclasses import asdict

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from backend.segmentation.embeddings import CacheFigures

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

requests = Counter("edgesam_requests", "Requests answered.", ["path", "method", "status"])
request_seconds = Histogram("edgesam_request_seconds", "Time to answer a request.", ["path"], buckets=SECONDS)
click_seconds = Histogram("edgesam_click_seconds", "Time to answer a click or a box.", buckets=SECONDS)
steps = Histogram("edgesam_step_seconds", "Time of one step of a prediction.", ["step"], buckets=SECONDS)
unanswered = Counter("edgesam_unanswered", "Requests that could not be served, by the broken link.", ["link"])
webhooks = Counter("edgesam_webhooks", "Webhooks received.", ["action"])
embeddings = Gauge(
    "edgesam_embeddings", "What the caches of embeddings hold and did so far.", ["figure"], multiprocess_mode="livesum"
)

embeddings_on_disk = Gauge(
    "edgesam_embeddings_on_disk_bytes", "What embeddings take on disk.", multiprocess_mode="mostrecent"
)


def show(figures: CacheFigures) -> None:
    """Tell what this process's cache of embeddings holds now."""
    for name, value in asdict(figures).items():
        embeddings.labels(name).set(value)


def exposition() -> bytes:
    """The page for Prometheus, of all processes."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # the library's own switch, set by serving.py
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
