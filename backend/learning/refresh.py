"""Before a job learns: what a project's annotators have accepted by now, asked of Label Studio where it answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from backend.accepted.annotations import Annotation, projects, replace_all
from backend.labelstudio import connections
from backend.labelstudio.images import ImageLoader
from backend.labelstudio.interface import Interface, interface_of
from backend.labelstudio.tokens import LINK
from backend.labelstudio.unanswerable import Unanswerable

UNASKED = (
    "set LABEL_STUDIO_URL to Label Studio's address and LABEL_STUDIO_API_KEY to a personal access token (Account & "
    "Settings), or open the project's Machine Learning settings there"
)

log = structlog.stdlib.get_logger("edgesam.learning")


def refreshed(folder: Path, images: ImageLoader, project: str) -> Interface:
    """How the project is labelled; its accepted annotations are now those that Label Studio's API gives.

    folder: MODEL_DIR. Where the API does not answer (no token, or another Label Studio's), what webhooks brought stays
    as it is, and the configuration is the one that /setup told. Raises Unanswerable where none is known.
    """
    number, why = number_of(project), UNASKED
    if api := images.api({"project": project}):
        try:
            found = api.project(number)
            if found.key != project:
                raise Unanswerable(LINK, f"the project {number} there is {found.key}, not {project}")
            replace_all(folder, project, annotations_of(project, api.annotated(number)))
            return interface_of(found.label_config)
        except Unanswerable as error:
            why = str(error)
            log.warning("learning_from_webhooks", project=project, why=why)
    told = connections.recall(folder, project)
    if told is None or not told.label_config:
        raise Unanswerable(LINK, f"nothing tells how project {number} is labelled: {why}")
    return interface_of(told.label_config)


def annotations_of(project: str, tasks: Iterable[Mapping[str, Any]]) -> Iterator[Annotation]:
    """The submitted annotations of tasks as the API gives them; those of skipped tasks are cancelled, and left out."""
    for task in tasks:
        for one in task.get("annotations") or []:
            if not one["was_cancelled"]:
                yield Annotation(project, one["id"], task["id"], task["data"], one["result"], one["updated_at"])


def project_of(folder: Path, images: ImageLoader, number: int) -> str:
    """The key "<id>.<unix time of creation>" of a project, as Label Studio says, or else the newest that is known.

    Raises Unanswerable where there is none.
    """
    why = "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or connect the project in Label Studio"
    if api := images.api({"project": str(number)}):
        try:
            return api.project(number).key
        except Unanswerable as error:
            why = str(error)
    for known in projects(folder):
        if number_of(known) == number:
            return known
    raise Unanswerable(LINK, f"no project {number} is known: {why}")


def number_of(project: str) -> int:
    """The id in "<id>.<unix time of creation>"."""
    return int(project.partition(".")[0])
