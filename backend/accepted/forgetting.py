"""A project leaves no trace: for one that was deleted in Label Studio, whose pictures somebody must not keep."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock, Timeout

from backend.accepted.annotations import PROJECT
from backend.accepted.database import connected
from backend.accepted.jobs import LOCK
from backend.accepted.versions import FOLDER


class AtWorkError(Exception):
    """A process learns from the project now."""


def forget_project(folder: Path, project: str) -> None:
    """Delete what was accepted and learned, and every file of it. project: "<id>.<unix time of creation>".

    The files go first: who is interrupted, or may not delete one (OSError), can try again. Raises AtWorkError, and
    changes nothing, while a job of the project runs; ValueError where this names no project.
    """
    if not PROJECT.fullmatch(project):
        raise ValueError(f"{project!r} names no project")
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)  # while it is held here no job begins
    except Timeout:
        _refuse_at_work(folder, project)
    try:
        if (files := folder / FOLDER / project).exists():
            shutil.rmtree(files)
        with connected(folder) as connection:
            tables = connection.execute(
                "SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c ON c.name = 'project' "
                "WHERE m.type = 'table'"
            ).fetchall()
            for (table,) in tables:
                connection.execute(f"DELETE FROM {table} WHERE project = ?", (project,))  # noqa: S608 - names of ours
    finally:
        lock.release()


def _refuse_at_work(folder: Path, project: str) -> None:
    """The process that runs jobs is there: is it this project's job that runs?"""
    with connected(folder) as connection:
        running = "SELECT number FROM job WHERE project = ? AND state = 'running'"
        if job := connection.execute(running, (project,)).fetchone():
            raise AtWorkError(f"job {job['number']} learns from it now: wait until it has ended, or stop the service")
