"""What Label Studio says has happened, written down: what was accepted, what is gone, what is to be learned or chosen.

Nothing else is done here: Label Studio waits one second for a webhook, inside of the annotator's own request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import BaseModel, BeforeValidator, Field

from backend.accepted import jobs
from backend.accepted.annotations import PROJECT, Annotation, accept, forget, forget_tasks, new_regions, projects
from backend.accepted.jobs import Job, enqueue
from backend.accepted.versions import follow

HEARD = frozenset(
    {
        "ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "TASKS_DELETED",
        "PROJECT_UPDATED", "START_TRAINING",
    }
)  # fmt: skip

log = structlog.stdlib.get_logger("edgesam.learning")


class UnclearError(ValueError):
    """What was said cannot be understood; the message says what is missing."""


Number = Annotated[int, Field(ge=0, lt=2**63)]


def _listed(value: Any) -> Any:
    """One thing or several: Label Studio sends both under the same name."""
    return [] if value is None else value if isinstance(value, list) else [value]


class Project(BaseModel):
    id: Number
    created_at: datetime | None = None
    model_version: str | None = None


class Accepted(BaseModel):
    id: Number
    result: Annotated[list[dict[str, Any]], BeforeValidator(_listed)] = []
    updated_at: datetime
    was_cancelled: bool = False
    task: Number


class Task(BaseModel):
    id: Number
    data: dict[str, Any]


class Gone(BaseModel):
    id: Number


class Event(BaseModel):
    """Label Studio sends a project, and what happened to annotation, annotations, task or tasks of it."""

    project: Project
    annotation: Annotated[list[Accepted], BeforeValidator(_listed)] = []
    task: Annotated[list[Task], BeforeValidator(_listed)] = []
    annotations: Annotated[list[Gone], BeforeValidator(_listed)] = []
    tasks: Annotated[list[Gone], BeforeValidator(_listed)] = []


class Asked(BaseModel):
    """label-studio-ml's own /train has a project: its number and the time it was made, or an object."""

    project: str | Project


@dataclass(frozen=True)
class Ear:
    """folder: MODEL_DIR. every: as many new regions begin a job; 0: none do. base: what the base version is called."""

    folder: Path
    every: int
    base: Callable[[], str]


def hear(ear: Ear, action: str, event: Event) -> int | None:
    """Write down what happened. The number of the job that this began, if it did.

    Raises UnclearError; OSError or sqlite3.Error where it cannot be written.
    """
    project = _name(ear.folder, event.project)
    _follow(ear, project, event.project.model_version)
    if action == "START_TRAINING":
        return ask(ear, project, "Start Training")
    if action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_CREATED"):
        _accept(ear.folder, project, event)
        found = new_regions(ear.folder, project)
        if ear.every and found >= ear.every:
            return ask(ear, project, f"{found} new regions")
    elif action == "ANNOTATIONS_DELETED":
        forget(ear.folder, project, [gone.id for gone in event.annotations])
    elif action == "TASKS_DELETED":
        forget_tasks(ear.folder, project, [gone.id for gone in event.tasks])
    return None


def ask(ear: Ear, project: str, reason: str) -> int:
    """Queue a job of this project, "<id>.<time it was made>"; the number of it, or of the one that waits already."""
    return _queued(enqueue(ear.folder, project, reason))


def renew(ear: Ear, project: str, base: str) -> int | None:
    """The number of the job that this began, if it did: other weights answer than the project's version learned from.
    Where nothing is learned by itself, nothing is begun.

    base: the first eight digits of the hash of the weights that answer. Raises OSError or sqlite3.Error.
    """
    job = jobs.renew(ear.folder, project, base) if ear.every else None
    return _queued(job) if job else None


def _queued(job: Job) -> int:
    log.info("learning_queued", project=job.project, job=job.number, reason=job.reason)
    return job.number


def named(ear: Ear, asked: Asked) -> str:
    """The full name of the project that somebody asks for. Raises UnclearError."""
    project = asked.project
    if isinstance(project, Project):
        return _name(ear.folder, project)
    if not PROJECT.fullmatch(project):
        raise UnclearError(
            f"project {project[:40]!r} is no number with the time it was made, for example 27.1795354711"
        )
    return project if "." in project else _newest(ear.folder, project)


def _name(folder: Path, project: Project) -> str:
    made = project.created_at
    if made is None:
        return _newest(folder, str(project.id))
    return f"{project.id}.{int((made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp())}"


def _newest(folder: Path, number: str) -> str:
    for project in projects(folder):
        if project.partition(".")[0] == number:
            return project
    raise UnclearError(
        f"nothing is known of a project {number}: say when it was made (created_at), as Label Studio does"
    )


def _accept(folder: Path, project: str, event: Event) -> None:
    data = {task.id: task.data for task in event.task}
    told = [one for one in event.annotation if one.task in data]
    if len(told) < len(event.annotation):
        missing = sorted({one.task for one in event.annotation} - data.keys())
        log.warning("an annotation came without its task", project=project, tasks=missing[:5])
    accept(
        folder,
        [
            Annotation(project, one.id, one.task, data[one.task], one.result, one.updated_at.isoformat())
            for one in told
            if not one.was_cancelled
        ],
    )
    if cancelled := [one.id for one in told if one.was_cancelled]:
        forget(folder, project, cancelled)


def _follow(ear: Ear, project: str, version: str | None) -> None:
    """A version chosen for the project's predictions in Label Studio is told in no other way."""
    if version and follow(ear.folder, project, version, ear.base()):
        log.info("version_chosen", project=project, version=version)
