"""What became of each project's accepted masks, for whoever shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.accepted.annotations import projects
from backend.accepted.jobs import Job, jobs
from backend.accepted.versions import Version, serving, versions_of

LAST_JOBS = 5
"""Of a project."""
ALL_JOBS = 1000
"""Of all projects."""


@dataclass(frozen=True, slots=True)
class History:
    """project: "<id>.<unix time of creation>". serving: None is the base. versions and the last jobs: newest first."""

    project: str
    serving: Version | None
    versions: list[Version]
    jobs: list[Job]

    @property
    def number(self) -> str:
        """The project's, as in its address in Label Studio."""
        return self.project.partition(".")[0]


def histories(folder: Path) -> list[History]:
    """Of every project that something is known of, the one made last first. Raises sqlite3.Error."""
    serve = {version.project: version for version in serving(folder)}
    made: dict[str, list[Version]] = {}
    for version in versions_of(folder):
        made.setdefault(version.project, []).append(version)
    done: dict[str, list[Job]] = {}
    for job in jobs(folder, last=ALL_JOBS):
        done.setdefault(job.project, []).append(job)
    return [
        History(project, serve.get(project), made.get(project, []), done.get(project, [])[:LAST_JOBS])
        for project in projects(folder)
    ]


def unused(history: History, base: str | None = None) -> str:
    """Why the version that was chosen does not answer, where it does not; the base does then. base: the first eight
    digits of the hash of the weights that answer, where they are known."""
    chosen = history.serving
    if chosen and base not in (None, chosen.base):
        return "it was learned from other weights than those that answer now"
    return "its file is gone" if chosen and not chosen.file.is_file() else ""


def figures(version: Version, of: Literal["project", "general"], when: Literal["before", "after"]) -> dict[str, float]:
    """Mean IoUs in percent by prompt: on the project's pictures or on general ones, of the version or of what it was
    compared with. Empty where they were not measured."""
    found = version.metrics.get(f"{of}_{when}")
    held = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in held if isinstance(value, float) and math.isfinite(value)}


def change(version: Version, of: Literal["project", "general"]) -> str:
    """The figures of box, one, two and three clicks, before and after, for people. Empty where there are none."""
    before, after = (
        " / ".join(f"{value:.1f}" for value in figures(version, of, when).values()) for when in ("before", "after")
    )
    return f"{before} -> {after}" if before and after else ""
