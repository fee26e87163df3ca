"""The versions that jobs made for each project, and which one of them answers."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.accepted.database import FILE, connected, reading

COMPARED_WITH = "compared_with"
"""In a version's metrics: the name of what served when it was made."""

FOLDER = "versions"
"""MODEL_DIR/versions/<project>/<name>.safetensors, its report <name>.html, and what engines make of it beside."""


@dataclass(frozen=True, slots=True)
class Version:
    """project: "<id>.<unix time of creation>". name: "edgesam-<base>-p<id>-v<number>". file: its weights, whose hash is
    sha256. base: the first eight digits of the base weights' hash. promoted: whether it was found better. metrics: the
    figures of that decision. made: ISO 8601, UTC. job: the number of the job that made it."""

    project: str
    number: int
    name: str
    file: Path
    sha256: str
    base: str
    promoted: bool
    metrics: dict[str, Any]
    made: str
    job: int | None


def proposer_file(folder: Path, project: str) -> Path:
    """What finds more objects like those that were accepted; it is there where a job found it good enough."""
    return folder / FOLDER / project / "proposer.safetensors"


def next_number(folder: Path, project: str) -> int:
    """The number of the project's next version; the first is 1."""
    with reading(folder) as connection:
        found = connection.execute("SELECT max(number) FROM version WHERE project = ?", (project,)).fetchone()
    return int(found[0] or 0) + 1


def record(folder: Path, version: Version) -> None:
    """Keep a version, whose file is in its place. It answers nobody until it is chosen."""
    values = (
        version.project, version.number, version.name, str(_inside(folder, version.file)), version.sha256, version.base,
        version.promoted, json.dumps(version.metrics), version.made, version.job,
    )  # fmt: skip
    with connected(folder) as connection:
        connection.execute("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def versions_of(folder: Path, project: str | None = None) -> list[Version]:
    """The versions of a project, or of all, newest first."""
    with reading(folder) as connection:
        rows = connection.execute(
            "SELECT * FROM version WHERE ? IS NULL OR project = ? ORDER BY made DESC, number DESC", (project, project)
        ).fetchall()
    return [_version(folder, row) for row in rows]


def current(folder: Path, project: str) -> Version | None:
    """The version that answers this project; None is the base. Every click asks."""
    if not (folder / FILE).exists():  # 0.1 instead of 0.6 ms
        return None
    with reading(folder) as connection:
        row = connection.execute(
            "SELECT version.* FROM serving JOIN version USING (project, number) WHERE project = ?", (project,)
        ).fetchone()
    return _version(folder, row) if row else None


def serving(folder: Path) -> list[Version]:
    """The versions that answer, of all projects that have one."""
    with reading(folder) as connection:
        rows = connection.execute("SELECT version.* FROM serving JOIN version USING (project, number)").fetchall()
    return [_version(folder, row) for row in rows]


def choose(folder: Path, project: str, name: str | None) -> None:
    """A person's choice: from now on this version answers the project; None is the base. KeyError where the project has
    none so named."""
    with connected(folder) as connection:
        _count_choice(connection, project)
        if name is None:
            connection.execute("DELETE FROM serving WHERE project = ?", (project,))
            return
        if not _serve(connection, project, name):
            raise KeyError(name)


def choices(folder: Path, project: str) -> int:
    """How often a person has chosen what answers the project."""
    with connected(folder) as connection:
        return _choices(connection, project)


def succeed(folder: Path, version: Version, counted: int) -> bool:
    """From now on this version answers its project, if nobody has chosen another one since `choices` were counted.
    False where somebody has: that is the last word."""
    with connected(folder) as connection:
        if _choices(connection, version.project) != counted:
            return False
        return _serve(connection, version.project, version.name)


def follow(folder: Path, project: str, named: str, base: str) -> bool:
    """Label Studio's project names a version. Where it named another before, this is a choice: it answers from now on.

    base: what the base is called. False where nothing was chosen: it is no new word, or no version of the project.
    """
    with connected(folder) as connection:
        changed = connection.execute(
            "INSERT INTO named VALUES (?, ?) ON CONFLICT (project) DO UPDATE SET version = excluded.version "
            "WHERE version <> excluded.version",
            (project, named),
        )
        if not changed.rowcount:
            return False
        if named == base:
            _count_choice(connection, project)
            return connection.execute("DELETE FROM serving WHERE project = ?", (project,)).rowcount > 0
        if not _serve(connection, project, named):
            return False
        _count_choice(connection, project)
        return True


def prune(folder: Path, project: str, keep: int) -> None:
    """Delete all but the `keep` newest versions of a project, with their files; the one that answers stays, and the one
    in whose place it came. Of the others that stay only the weights do, and the report: what engines made of them (70
    MB) is made again if somebody chooses them."""
    with connected(folder) as connection:
        rows = connection.execute("SELECT * FROM version WHERE project = ? ORDER BY number DESC", (project,)).fetchall()
        row = connection.execute("SELECT number FROM serving WHERE project = ?", (project,)).fetchone()
        versions = [_version(folder, row) for row in rows]
        answering = next((one for one in versions if row and one.number == row["number"]), None)
        needed = (answering.name, answering.metrics.get(COMPARED_WITH)) if answering else ()
        spare = [one for one in versions if one.name not in needed]
        old = [one for one in versions[keep:] if one in spare]
        connection.executemany(
            "DELETE FROM version WHERE project = ? AND number = ?", [(one.project, one.number) for one in old]
        )
        for one in spare:  # nobody chooses one meanwhile: that waits for this transaction
            _remove_what_engines_made(one)
        for one in old:
            for path in _files(one):
                path.unlink(missing_ok=True)


def counts(folder: Path) -> dict[bool, int]:
    """How many versions of all projects were promoted, and how many were not."""
    with reading(folder) as connection:
        found = connection.execute("SELECT promoted, count(*) FROM version GROUP BY promoted").fetchall()
    return {True: 0, False: 0} | {bool(promoted): count for promoted, count in found}


def _count_choice(connection: sqlite3.Connection, project: str) -> None:
    connection.execute(
        "INSERT INTO chosen VALUES (?, 1) ON CONFLICT (project) DO UPDATE SET times = times + 1", (project,)
    )


def _choices(connection: sqlite3.Connection, project: str) -> int:
    row = connection.execute("SELECT times FROM chosen WHERE project = ?", (project,)).fetchone()
    return int(row["times"]) if row else 0


def _serve(connection: sqlite3.Connection, project: str, name: str) -> bool:
    """Whether the project has a version so named, which then answers."""
    chosen = connection.execute(
        "INSERT OR REPLACE INTO serving SELECT project, number FROM version WHERE project = ? AND name = ?",
        (project, name),
    )
    return chosen.rowcount > 0


def _files(version: Version) -> list[Path]:
    """The weights and all that is named after them."""
    return list(version.file.parent.glob(f"{version.file.stem}.*"))


def _remove_what_engines_made(version: Version) -> None:
    for path in _files(version):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _inside(folder: Path, file: Path) -> Path:
    """Seen from the folder, which may be moved."""
    return file.relative_to(folder) if file.is_relative_to(folder) else file


def _version(folder: Path, row: sqlite3.Row) -> Version:
    held = dict(row)
    held |= {"file": folder / held["file"], "promoted": bool(held["promoted"]), "metrics": json.loads(held["metrics"])}
    return Version(**held)
