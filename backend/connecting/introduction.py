"""A backend is connected to a project over Label Studio's API, and what must be so for that is looked at before."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from backend.connecting.connection import Connected, asked_first, connect
from backend.connecting.findings import Finding, look
from backend.connecting.service import Service, own_address, service_at
from backend.connecting.studio import interface_answerable, project_seen, studio_answers, token_accepted
from backend.labelstudio.client import Api, Project
from backend.labelstudio.models import Connecting
from backend.settings import Settings


def introduced(settings: Settings, number: int, backend: str | None) -> Iterator[Finding[Any]]:
    """Each finding as it is found; the last is good where the page asks this backend from now on.

    backend: its address as Label Studio reaches it; else this machine's. Where it is given, only Label Studio asks it,
    for this machine may not reach it. An interface that cannot be answered keeps nobody from connecting: it can be put
    right afterwards.
    """
    address = backend or own_address(settings)
    needed: list[Finding[Any]] = []
    if backend is None:
        needed.append(look("backend", partial(service_at, address, settings)))
        yield needed[0]
    yield (studio := look("Label Studio", partial(studio_answers, settings)))
    yield (api := look("token", lambda _: token_accepted(settings), studio))
    yield (project := look("project", lambda known: project_seen(known, number), api))
    yield look("interface", interface_answerable, project)
    password = settings.basic_auth_pass
    wanted = Connecting(address, settings.basic_auth_user, password.get_secret_value() if password else None)

    def connected(known: Api, _project: Project, *services: Service) -> tuple[str, Connected]:
        return connect(known, number, wanted, services[0].versions if services else ())

    yield (ours := look("connection", connected, api, project, *needed))
    yield look("interactive", lambda known: asked_first(known, number), ours)
