"""The queue of jobs: each learns from one project. At most one waits for a project at a time."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.accepted.database import connected, now, reading

State = Literal["queued", "running", "done", "failed"]

RENEWAL = "other weights answer now: "
"""Begins a job's reason, before the first digits of their hash."""

LOCK = "learning.lock"
"""In MODEL_DIR: locked by the one process that runs jobs."""

MOST_ATTEMPTS = 2
"""A job that was killed or crashed is tried once more."""


@dataclass(frozen=True, slots=True)
class Job:
    """reason: why it was asked for. attempts: how often it was begun. made, started, ended: ISO 8601, UTC. told: the
    last word of its progress or its outcome."""

    number: int
    project: str
    reason: str
    state: State
    attempts: int
    made: str
    started: str | None
    ended: str | None
    told: str


def enqueue(folder: Path, project: str, reason: str) -> Job:
    """A queued job of this project: the one that waits already, or a new one. No region is new from here on."""
    with connected(folder) as connection:
        return _waiting(connection, project, reason)


def renew(folder: Path, project: str, base: str) -> Job | None:
    """A queued job where the version that was chosen for the project learned from other weights than those that answer
    now, and none has learned from these since; None where there is nothing to do.

    base: the first eight digits of the hash of the weights that answer. Only where a job is queued it is written.
    """
    with reading(folder) as connection:
        if not _wants_renewal(connection, project, base):
            return None
    with connected(folder) as connection:
        wanted = _wants_renewal(connection, project, base)  # another process may have been faster
        return _waiting(connection, project, RENEWAL + base) if wanted else None


def claim(folder: Path, project: str | None = None) -> Job | None:
    """The job that has waited longest, of one project or of all, now running; None where none waits."""
    with connected(folder) as connection:
        claimed = connection.execute(
            "UPDATE job SET state = 'running', attempts = attempts + 1, started = ?, told = '' WHERE number = "
            "(SELECT min(number) FROM job WHERE state = 'queued' AND (? IS NULL OR project = ?)) RETURNING *",
            (now(), project, project),
        ).fetchone()
        return _job(claimed) if claimed else None


def tell(folder: Path, number: int, text: str) -> None:
    """How far a running job is."""
    with connected(folder) as connection:
        connection.execute("UPDATE job SET told = ? WHERE number = ?", (text, number))


def finish(folder: Path, number: int, told: str) -> None:
    """The job has ended as it should, whatever came of it."""
    _end(folder, number, "done", told)


def fail(folder: Path, number: int, told: str) -> None:
    """The job cannot be done, and is not tried again. All regions of its project are new once more: the next one that
    is accepted asks for another job."""
    _end(folder, number, "failed", told)
    with connected(folder) as connection:
        connection.execute(
            "UPDATE annotation SET fresh = regions WHERE project = (SELECT project FROM job WHERE number = ?)",
            (number,),
        )


def put_back(folder: Path, number: int) -> None:
    """Whoever ran this job is asked to stop: it waits again, as if it had never begun."""
    with connected(folder) as connection:
        connection.execute(
            "UPDATE job SET state = 'queued', attempts = attempts - 1, started = NULL, told = '' "
            "WHERE number = ? AND state = 'running'",
            (number,),
        )
        _merge_waiting(connection)


def requeue_interrupted(folder: Path) -> None:
    """Running jobs wait again, or fail where they were tried often enough.

    For whoever alone may run jobs and has not begun one: what counts as running was killed or crashed.
    """
    with connected(folder) as connection:
        connection.execute(
            "UPDATE job SET state = 'failed', ended = ?, told = 'ended without a word ' || attempts || ' times' "
            "WHERE state = 'running' AND attempts >= ?",
            (now(), MOST_ATTEMPTS),
        )
        connection.execute("UPDATE job SET state = 'queued', started = NULL WHERE state = 'running'")
        _merge_waiting(connection)


def jobs(folder: Path, project: str | None = None, last: int = 20) -> list[Job]:
    """The last jobs, of one project or of all, newest first."""
    with reading(folder) as connection:
        rows = connection.execute(
            "SELECT * FROM job WHERE ? IS NULL OR project = ? ORDER BY number DESC LIMIT ?", (project, project, last)
        ).fetchall()
    return [_job(row) for row in rows]


def unfinished(folder: Path) -> list[Job]:
    """The jobs that wait or run, oldest first."""
    with reading(folder) as connection:
        rows = connection.execute("SELECT * FROM job WHERE state IN ('queued', 'running') ORDER BY number").fetchall()
    return [_job(row) for row in rows]


def count_by_state(folder: Path) -> dict[State, int]:
    """How many jobs there are in each state."""
    with reading(folder) as connection:
        found = dict(connection.execute("SELECT state, count(*) FROM job GROUP BY state").fetchall())
    return {state: found.get(state, 0) for state in ("queued", "running", "done", "failed")}


def _waiting(connection: sqlite3.Connection, project: str, reason: str) -> Job:
    """The job of the project that waits, or a new one. No region is new from here on."""
    connection.execute("UPDATE annotation SET fresh = 0 WHERE project = ? AND fresh > 0", (project,))
    waiting = connection.execute(
        "SELECT * FROM job WHERE project = ? AND state = 'queued' ORDER BY number", (project,)
    ).fetchone()
    if waiting is None:
        waiting = connection.execute(
            "INSERT INTO job (project, reason, state, made) VALUES (?, ?, 'queued', ?) RETURNING *",
            (project, reason, now()),
        ).fetchone()
    return _job(waiting)


def _wants_renewal(connection: sqlite3.Connection, project: str, base: str) -> bool:
    """Not while a job waits or runs; not where one made a version of these weights since the chosen one; and not where
    one was queued for them since, and made no version of others: it could not be done."""
    found = connection.execute(
        """
        SELECT 1 FROM serving JOIN version AS chosen USING (project, number)
        WHERE project = :project AND chosen.base <> :base
        AND NOT EXISTS (SELECT 1 FROM job WHERE job.project = :project AND state IN ('queued', 'running'))
        AND NOT EXISTS (SELECT 1 FROM version WHERE version.project = :project AND version.base = :base
            AND version.number > chosen.number)
        AND NOT EXISTS (SELECT 1 FROM job WHERE job.project = :project AND job.reason = :reason
            AND job.number > coalesce(chosen.job, 0)
            AND NOT EXISTS (SELECT 1 FROM version WHERE version.job = job.number AND version.base <> :base))
        """,
        {"project": project, "base": base, "reason": RENEWAL + base},
    ).fetchone()
    return found is not None


def _merge_waiting(connection: sqlite3.Connection) -> None:
    """A job that waits again does what another one of its project was queued for meanwhile."""
    connection.execute(
        "UPDATE job SET state = 'done', ended = ?, told = 'another job that waited did it' WHERE state = 'queued' "
        "AND EXISTS (SELECT 1 FROM job AS older WHERE older.state = 'queued' "
        "AND older.project = job.project AND older.number < job.number)",
        (now(),),
    )


def _end(folder: Path, number: int, state: State, told: str) -> None:
    with connected(folder) as connection:
        connection.execute(
            "UPDATE job SET state = ?, ended = ?, told = ? WHERE number = ?", (state, now(), told, number)
        )


def _job(row: sqlite3.Row) -> Job:
    return Job(**dict(row))
