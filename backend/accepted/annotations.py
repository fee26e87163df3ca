"""The annotations of each project, as Label Studio has them: kept by number, so that updates and deletions count."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from backend.accepted.database import connected, reading

PROJECT = re.compile(r"\d{1,18}(\.\d{1,18})?", re.ASCII)
"""What names a project, with or without the time it was made: it becomes part of paths."""
AT_ONCE = 20
"""Annotations that are written in one transaction, for which others wait: about a page of the API."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One submitted annotation.

    project: "<id>.<unix time of creation>". number, task: Label Studio's ids. data, result: the task's and the
    annotation's as Label Studio has them. updated: when it was last changed, as Label Studio writes it (ISO 8601).
    """

    project: str
    number: int
    task: int
    data: dict[str, Any]
    result: list[dict[str, Any]]
    updated: str


def accept(folder: Path, annotations: Iterable[Annotation]) -> None:
    """Keep annotations; one that is older than what is kept of it changes nothing. Cancelled ones: `forget` them.

    Raises ValueError where `updated` is no time.
    """
    with connected(folder) as connection:
        for annotation in annotations:
            _keep(connection, annotation, learned=False)


def forget(folder: Path, project: str, numbers: Iterable[int]) -> None:
    """These annotations were deleted or cancelled."""
    with connected(folder) as connection:
        connection.executemany(
            "DELETE FROM annotation WHERE project = ? AND number = ?", [(project, number) for number in numbers]
        )


def forget_tasks(folder: Path, project: str, tasks: Iterable[int]) -> None:
    """These tasks were deleted, and their annotations with them."""
    with connected(folder) as connection:
        connection.executemany("DELETE FROM annotation WHERE project = ? AND task = ?", [(project, t) for t in tasks])


def replace_all(folder: Path, project: str, annotations: Iterable[Annotation]) -> None:
    """What Label Studio's API says a project has now: what it does not have is forgotten.

    annotations: asked for while they are written, some at a time, so that webhooks come between; what these bring or
    take away meanwhile stays so. A job asks this and learns from it at once, so what is new here does not count as new
    regions. Raises ValueError where `updated` is no time.
    """
    known, told = set(_moments(folder, project)), set[int]()
    asked = iter(annotations)
    while some := list(islice(asked, AT_ONCE)):
        told.update(annotation.number for annotation in some)
        with connected(folder) as connection:
            for annotation in some:
                _keep(connection, annotation, learned=True, gone=known)
    forget(folder, project, known - told)


def accepted(folder: Path, project: str) -> Iterator[Annotation]:
    """The annotations of a project, those that were changed last first. Each is read when it is asked for: thousands of
    brushes are a gigabyte."""
    moments = _moments(folder, project)
    for number in sorted(moments, key=moments.__getitem__, reverse=True):
        with reading(folder) as connection:
            row = connection.execute(
                "SELECT * FROM annotation WHERE project = ? AND number = ?", (project, number)
            ).fetchone()
        if row:
            data, result = orjson.loads(row["data"]), orjson.loads(row["result"])
            yield Annotation(project, number, row["task"], data, result, row["updated"])


def _moments(folder: Path, project: str) -> dict[int, datetime]:
    """When each annotation of a project was changed last, by its number."""
    with reading(folder) as connection:
        rows = connection.execute("SELECT number, updated FROM annotation WHERE project = ?", (project,)).fetchall()
    return {row["number"]: _moment(row["updated"]) for row in rows}


def new_regions(folder: Path, project: str) -> int:
    """How many regions were accepted or changed since the last job of this project was queued."""
    with reading(folder) as connection:
        found = connection.execute("SELECT total(fresh) FROM annotation WHERE project = ?", (project,)).fetchone()
    return int(found[0])


def regions(folder: Path) -> int:
    """How many accepted regions there are in all projects."""
    with reading(folder) as connection:
        return int(connection.execute("SELECT total(regions) FROM annotation").fetchone()[0])


def projects(folder: Path) -> list[str]:
    """Every project that something is known of, the one made last first."""
    with reading(folder) as connection:
        rows = connection.execute(
            "SELECT project FROM annotation UNION SELECT project FROM job UNION SELECT project FROM version "
            "UNION SELECT project FROM named"
        ).fetchall()
    return sorted((row[0] for row in rows), key=_made, reverse=True)


def full_name(folder: Path, number: str) -> str:
    """The newest project of this number: another Label Studio may have had one before. The number where none is."""
    return next((name for name in projects(folder) if name.partition(".")[0] == number), number)


def _made(project: str) -> tuple[int, str]:
    _, _, seconds = project.partition(".")
    return int(seconds) if seconds.isdecimal() else 0, project


def _keep(connection: sqlite3.Connection, new: Annotation, learned: bool, gone: Container[int] = ()) -> None:
    """learned: a job learns from it now, so nothing of it is fresh. gone: numbers that are not kept where nothing is
    known of them."""
    moment, data = _moment(new.updated), _text(new.data)
    place = new.project, new.number
    old = connection.execute(
        "SELECT data, updated, fresh FROM annotation WHERE project = ? AND number = ?", place
    ).fetchone()
    if old is None and new.number in gone:
        return
    if old is not None and (moment, data) == (_moment(old["updated"]), old["data"]) and learned:
        return
    if old is not None and moment < _moment(old["updated"]):
        return
    shapes, fresh = _shapes(new.result), old["fresh"] if old else 0
    if not learned:
        before = connection.execute("SELECT result FROM annotation WHERE project = ? AND number = ?", place).fetchone()
        known = _shapes(orjson.loads(before["result"])) if before else {}
        fresh += sum(known.get(name) != shape for name, shape in shapes.items())
    connection.execute(
        "INSERT OR REPLACE INTO annotation (project, number, task, data, result, updated, regions, fresh) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*place, new.task, data, _text(new.result), new.updated, len(shapes), min(len(shapes), fresh)),
    )


def _shapes(result: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """What makes up each region: items of one id are one region, and relations are none."""
    found: dict[str, list[dict[str, Any]]] = {}
    for index, item in enumerate(result):
        if item.get("type") != "relation":
            found.setdefault(str(item.get("id") or f"item {index}"), []).append(item)
    return found


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()  # ten times as fast as json with the long lists of a brush


def _moment(updated: str) -> datetime:
    moment = datetime.fromisoformat(updated)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
