"""Why does a click bring nothing? All from the settings to the picture is looked at; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backend.connecting.connection import asked_first, model_connected
from backend.connecting.findings import Finding, look
from backend.connecting.machine import folder_writable, settings_read, weights_whole
from backend.connecting.service import model_loaded, own_address, service_at
from backend.connecting.studio import (
    interface_answerable,
    picture_fetched,
    project_seen,
    studio_answers,
    token_accepted,
)


def examined(number: int | None, backend: str | None) -> Iterator[Finding[Any]]:
    """Each finding as it is found. number: a project to look at too. backend: its address; else this machine's."""
    yield (settings := look("settings", settings_read))
    yield look("MODEL_DIR", folder_writable, settings)
    yield look("weights", weights_whole, settings)
    address = backend or (own_address(settings.value) if settings.value else "")
    yield (service := look("backend", lambda own: service_at(address, own), settings))
    yield look("model", model_loaded, service, settings)
    yield (studio := look("Label Studio", studio_answers, settings))
    yield (api := look("token", lambda own, _: token_accepted(own), settings, studio))
    if number is None:
        return
    yield (project := look("project", lambda known: project_seen(known, number), api))
    yield look("interface", interface_answerable, project)
    ours = look("connection", lambda known, at, _: model_connected(known, number, at), api, service, project)
    yield ours
    yield look("interactive", lambda known: asked_first(known, number), ours)
    yield look("picture", lambda own, known, of: picture_fetched(own, known, number, of), settings, api, project)
