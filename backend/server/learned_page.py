"""The page that shows people what was learned for each project, and what the jobs say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from backend.accepted.history import History, change, histories, unused
from backend.accepted.versions import versions_of
from backend.labelstudio.project_proposers import proposes

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = Path(__file__).with_name("learned.html")
UNFINISHED = ("queued", "running")
WHERE_REPORTS_ARE = (
    "set BASIC_AUTH_USER and BASIC_AUTH_PASS to read it in a browser, or open its file in MODEL_DIR/versions"
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A project. unused: see history.unused."""

    history: History
    unused: str
    proposes: str | None
    at_work: bool


def learned_page(folder: Path, base: str | None, proposals: bool, known: bool) -> str:
    """The page as HTML; it asks for itself anew while a job waits or runs. Raises sqlite3.Error.

    folder: MODEL_DIR. base: the first eight digits of the hash of the weights that answer, where they are known;
    versions of others do not. proposals: whether they are made at all. known: whether who asks gave a password; others
    get no links to the pages about versions, and not why a job failed, which may name a picture.
    """
    shown = [_shown(folder, base, proposals, history) for history in histories(folder)]
    return _template().render(
        projects=sorted(shown, key=lambda one: not one.at_work),
        at_work=any(one.at_work for one in shown),
        change=change,
        known=known,
        where_reports_are=WHERE_REPORTS_ARE,
    )


def _shown(folder: Path, base: str | None, proposals: bool, history: History) -> _Shown:
    why = unused(history, base)
    good = proposes(folder, history.project, None if why else history.serving, base) if proposals else None
    return _Shown(history, why, good, any(job.state in UNFINISHED for job in history.jobs))


def report_of(folder: Path, project: str, number: str) -> str | None:
    """The page that a job wrote about a version; None where there is none. Raises sqlite3.Error."""
    for version in versions_of(folder, project):
        if str(version.number) == number:
            try:
                return version.file.with_suffix(".html").read_text(encoding="utf-8")
            except OSError:
                return None
    return None


@cache
def _template() -> Template:
    from jinja2 import Environment  # a process that is not asked for the page does without

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["minute"] = _minute
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _minute(moment: str) -> str:
    """ISO 8601 -> what people read."""
    return moment[:16].replace("T", " ")
