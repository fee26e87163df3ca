"""A project leaves no trace: for one that was deleted in Label Studio, whose pictures somebody must not keep."""

from __future__ import annotations

import shutil
from pathlib import Path

from backend.accepted.database import connected
from backend.accepted.versions import FOLDER

TABLES = ("annotation", "job", "version", "serving", "named", "chosen")


class AtWorkError(Exception):
    """A job learns from the project now."""


def forget_project(folder: Path, project: str) -> None:
    """Delete what was accepted and learned, and every file of it. project: "<id>.<unix time of creation>".

    Raises AtWorkError, and changes nothing, while a job of the project runs.
    """
    with connected(folder) as connection:
        connection.execute("PRAGMA secure_delete = ON")  # overwritten, not only given free: Debian's default, not all's
        running = "SELECT number FROM job WHERE project = ? AND state = 'running'"
        if job := connection.execute(running, (project,)).fetchone():
            raise AtWorkError(f"job {job['number']} learns from it now: wait until it has ended, or stop the service")
        for table in TABLES:
            connection.execute(f"DELETE FROM {table} WHERE project = ?", (project,))  # noqa: S608 - names of ours
    shutil.rmtree(folder / FOLDER / project, ignore_errors=True)
