"""What the routes work with."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from starlette.requests import Request

from backend.labelstudio.project_versions import ProjectVersions
from backend.labelstudio.segmenter import Segmenter
from backend.server.hearing import Ear
from backend.server.loading import Loading
from backend.server.runner import Runner
from backend.settings import Settings


@dataclass(frozen=True)
class Services:
    """What the routes work with: one set for a process."""

    loading: Loading
    segmenter: Segmenter
    versions: ProjectVersions
    ear: Ear
    runner: Runner
    settings: Settings
    predictions: anyio.CapacityLimiter
    """How many predictions have a thread."""
    chores: anyio.CapacityLimiter
    """For /setup and /versions: short, many at once, and never behind predictions."""


def services_in(request: Request) -> Services:
    """Of the process that got the request."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services
