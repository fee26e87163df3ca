"""What became of each project's accepted masks, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.accepted.annotations import projects
from backend.accepted.jobs import Job, jobs
from backend.accepted.versions import Version, current, versions_of

LAST_JOBS = 5


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
    return [
        History(project, current(folder, project), versions_of(folder, project), jobs(folder, project, LAST_JOBS))
        for project in projects(folder)
    ]


def change(version: Version, of: Literal["project", "general"]) -> str:
    """Mean IoUs in percent of box, one, two and three clicks, before and after: of the project's pictures or of general
    ones. Empty where they were not measured."""
    before, after = (version.metrics.get(f"{of}_{when}") for when in ("before", "after"))
    return f"{_figures(before)} -> {_figures(after)}" if before and after else ""


def _figures(figures: dict[str, float]) -> str:
    return " / ".join(f"{value:.1f}" for value in figures.values())
