"""What Prometheus is told of learning: read from MODEL_DIR when it asks, so any process can say it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from backend.accepted.annotations import regions
from backend.accepted.history import figures
from backend.accepted.jobs import count_by_state, unfinished
from backend.accepted.versions import counts, serving

log = structlog.stdlib.get_logger("edgesam")


def learning_exposition(folder: Path) -> bytes:
    """The part of the page for Prometheus that tells of learning. folder: MODEL_DIR. Empty where it cannot be read."""
    registry = CollectorRegistry()
    try:
        registry.register(_Learning(folder))
        return generate_latest(registry)
    except sqlite3.Error as error:
        log.error("learning_unreadable", folder=str(folder), message=str(error))
        return b""


class _Learning(Collector):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[GaugeMetricFamily]:
        states = {str(state): count for state, count in count_by_state(self._folder).items()}
        yield _by_label("edgesam_learning_jobs", "Jobs that learn from what was accepted.", "state", states)
        since = "Seconds since the job began that runs now; 0 where none does."
        yield GaugeMetricFamily("edgesam_learning_job_seconds", since, _running_seconds(self._folder))
        yield GaugeMetricFamily("edgesam_accepted_regions", "Regions that annotators accepted.", regions(self._folder))
        kept = {"yes" if promoted else "no": count for promoted, count in counts(self._folder).items()}
        yield _by_label("edgesam_learned_versions", "Versions learned and kept.", "promoted", kept)
        yield _serving(self._folder)


def _by_label(name: str, about: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _running_seconds(folder: Path) -> float:
    began = [datetime.fromisoformat(job.started) for job in unfinished(folder) if job.started]
    return max(((datetime.now(UTC) - moment).total_seconds() for moment in began), default=0.0)


def _serving(folder: Path) -> GaugeMetricFamily:
    about = "Mean IoU, 0 to 1, on judging pictures of the project, of the chosen version and of what served before it."
    family = GaugeMetricFamily("edgesam_serving_miou", about, labels=["project", "version", "prompt", "when"])
    for version in serving(folder):
        for when in ("before", "after"):
            for prompt, value in figures(version, "project", when).items():
                family.add_metric([version.project, version.name, prompt, when], value / 100)
    return family
