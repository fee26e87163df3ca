"""The annotations of each project, as Label Studio has them: kept by number, so that updates and deletions count."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from backend.accepted.database import connected, reading


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
    """What Label Studio's API says a project has now, in one transaction: what it does not have is forgotten.

    A job asks this and learns from it at once, so what is new here does not count as new regions. Raises ValueError.
    """
    kept = list(annotations)
    numbers = _text([annotation.number for annotation in kept])
    with connected(folder) as connection:
        connection.execute(
            "DELETE FROM annotation WHERE project = ? AND number NOT IN (SELECT value FROM json_each(?))",
            (project, numbers),
        )
        for annotation in kept:
            _keep(connection, annotation, learned=True)


def accepted(folder: Path, project: str) -> list[Annotation]:
    """The annotations of a project, by number."""
    with reading(folder) as connection:
        rows = connection.execute("SELECT * FROM annotation WHERE project = ? ORDER BY number", (project,)).fetchall()
    return [
        Annotation(
            project, row["number"], row["task"], orjson.loads(row["data"]), orjson.loads(row["result"]), row["updated"]
        )
        for row in rows
    ]


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


def _made(project: str) -> tuple[int, str]:
    _, _, seconds = project.partition(".")
    return int(seconds) if seconds.isdecimal() else 0, project


def _keep(connection: sqlite3.Connection, new: Annotation, learned: bool) -> None:
    """learned: a job learns from it now, so nothing of it is fresh."""
    moment = _moment(new.updated)
    old = connection.execute(
        "SELECT result, updated, fresh FROM annotation WHERE project = ? AND number = ?", (new.project, new.number)
    ).fetchone()
    if old is not None and moment < _moment(old["updated"]):
        return
    shapes = _shapes(new.result)
    before = {} if old is None else _shapes(orjson.loads(old["result"]))
    changed = sum(before.get(name) != shape for name, shape in shapes.items())
    fresh = min(len(shapes), (old["fresh"] if old else 0) + (0 if learned else changed))
    data, result = _text(new.data), _text(new.result)
    connection.execute(
        "INSERT OR REPLACE INTO annotation (project, number, task, data, result, updated, regions, fresh) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (new.project, new.number, new.task, data, result, new.updated, len(shapes), fresh),
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
