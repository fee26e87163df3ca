"""The verbs about what was learned for a project: `versions`, `rollback` and `forget`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.command_line import FAILED, PROJECT, ended, settings_given
from backend.learning.command_line import told

if TYPE_CHECKING:
    from backend.accepted.history import History
    from backend.settings import Settings

BASE = "base"

versions_app = typer.Typer(no_args_is_help=True)


@versions_app.command("versions")
def versions_command(
    project: Annotated[int | None, typer.Option(min=1, help="Only this project's.")] = None,
) -> None:
    """What was learned for each project: figures before and after, which version serves, what the last job said."""
    from rich.console import Console
    from rich.table import Column, Table

    from backend.accepted.history import change, histories, unused
    from backend.labelstudio.project_proposers import proposes

    settings = settings_given()
    folder = settings.model_dir
    with told():
        shown = [_history(folder, project)] if project else histories(folder)
    base = _base(settings)
    whys = {history.project: unused(history, base) for history in shown}
    names = [version.name for history in shown for version in history.versions]
    name = Column("version", no_wrap=True, min_width=max(map(len, names), default=0))
    table = Table("project", name, "made", "box / 1 / 2 / 3 clicks, mIoU", "in general", "better", "serves")
    for history in shown:
        why = whys[history.project]
        for one in history.versions:
            figures = change(one, "project"), change(one, "general")
            better = "yes" if one.promoted else ""
            serves = "" if one != history.serving else f"no: {why}" if why else "yes"
            table.add_row(history.number, one.name, one.made[:16].replace("T", " "), *figures, better, serves)
        base_serves = "yes" if why or not history.serving else ""
        table.add_row(history.number, BASE, "", "", "", "", base_serves, end_section=True)
    if not shown:
        raise ended(f"nothing was learned yet (MODEL_DIR={folder}): docs/learning.md says how that begins", 0)
    console = Console()
    if not console.is_terminal:  # a file, or a container without a terminal: 80 columns would take it apart
        console.width = max(console.width, 150)
    console.print(table)
    for history in shown:
        for job in history.jobs[:1]:
            typer.echo(f"project {history.number}, job {job.number}: {job.state}{job.told and f', {job.told}'}")
        answering = None if whys[history.project] else history.serving
        if settings.edgesam_proposals and (good := proposes(folder, history.project, answering, base)):
            typer.echo(f"project {history.number} proposes: {good}")


def _base(settings: Settings) -> str | None:
    """The first eight digits of the hash of the weights that the settings name; None where there are none."""
    from backend.segmentation.weights import WeightsError, hash_of

    with suppress(WeightsError):
        return hash_of(settings.edgesam_weights)[:8]
    return None


@versions_app.command("rollback")
def rollback_command(
    project: Annotated[int, PROJECT],
    to: Annotated[str | None, typer.Option(help="A name of `versions`, or base; else what served before.")] = None,
) -> None:
    """Let another version serve a project: the one before, one of its versions, or the base weights."""
    from backend.accepted.history import unused
    from backend.accepted.versions import choose

    settings = settings_given()
    folder = settings.model_dir
    with told():
        history = _history(folder, project)
    wanted = to if to is not None else _before(history)
    if gone := [one for one in history.versions if one.name == wanted and not one.file.is_file()]:
        raise ended(f"the file of {wanted} is gone ({gone[0].file}): choose another one, or base", FAILED)
    try:
        choose(folder, history.project, None if wanted == BASE else wanted)
    except KeyError:
        names = ", ".join([*(one.name for one in history.versions), BASE])
        raise ended(f"project {project} has no version {wanted!r}: give one of {names}", FAILED) from None
    why = unused(_history(folder, project), _base(settings))
    typer.echo(f"project {project}: {wanted} " + (f"is chosen, but does not serve: {why}" if why else "serves now"))


@versions_app.command("forget")
def forget_command(
    project: Annotated[str, typer.Option(help="The project's number, or its name in MODEL_DIR/versions.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all that is kept of a project: accepted masks, versions, jobs, its token. For one that is gone.

    A project that goes on comes back with its next accepted region. Embeddings of pictures stay until they lose their
    place: they are kept by what is in the picture, not by project.
    """
    from backend.accepted.forgetting import AtWorkError, forget_project
    from backend.labelstudio.connections import disconnect, recall

    folder = settings_given().model_dir
    with told():
        key = _one_of(_kept(folder), project)
    studio = recall(folder, key)
    what = f"project {key}" + (f" of {studio.hostname}" if studio else "")
    if not yes:
        typer.confirm(f"Delete the accepted masks, versions, jobs and token of {what} from {folder}?", abort=True)
    with told():
        try:
            forget_project(folder, key)
        except AtWorkError as error:
            raise ended(str(error), FAILED) from None
        disconnect(folder, key)
        if not any(one.startswith(f"{key.partition('.')[0]}.") for one in _kept(folder)):
            disconnect(folder, key.partition(".")[0])
    typer.echo(f"{what} is forgotten")


def _kept(folder: Path) -> list[str]:
    """The projects that something is kept of."""
    from backend.accepted.annotations import PROJECT, projects
    from backend.accepted.versions import FOLDER
    from backend.labelstudio.connections import connected_projects

    folders = [path.name for path in (folder / FOLDER).glob("*") if PROJECT.fullmatch(path.name)]
    return sorted({*projects(folder), *folders, *connected_projects(folder)})


def _one_of(kept: list[str], project: str) -> str:
    """The project that is meant by its number, or by its whole name."""
    meant = [one for one in kept if project in (one, one.partition(".")[0])]
    meant = [one for one in meant if "." in one] or meant  # of a bare number only /setup is known
    if len(meant) == 1:
        return meant[0]
    if meant:
        made = ", ".join(f"{one} (made {_day(one)})" for one in meant)
        raise ended(f"several projects have the number {project}: give one of {made}", FAILED)
    raise ended(f"nothing is kept of a project {project}", FAILED)


def _day(project: str) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(project.partition(".")[2]), UTC).date().isoformat()


def _before(history: History) -> str:
    """The version in whose place the one that serves came, where it is kept; else the base."""
    from backend.accepted.versions import COMPARED_WITH

    replaced = history.serving.metrics.get(COMPARED_WITH) if history.serving else None
    return replaced if replaced in [one.name for one in history.versions] else BASE


def _history(folder: Path, project: int) -> History:
    """Of the newest project of this number that something is known of."""
    from backend.accepted.history import histories

    for history in histories(folder):
        if history.number == str(project):
            return history
    raise ended(f"nothing was learned for a project {project}: `versions` shows what there is", FAILED)
