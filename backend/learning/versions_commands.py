"""The verbs about what was learned for a project: `versions` and `rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.command_line import FAILED, PROJECT, ended, settings_given
from backend.learning.command_line import told

if TYPE_CHECKING:
    from backend.accepted.versions import Version

BASE = "base"

versions_app = typer.Typer(no_args_is_help=True)


@versions_app.command("versions")
def versions_command(
    project: Annotated[int | None, typer.Option(min=1, help="Only this project's.")] = None,
) -> None:
    """What was learned for each project: figures before and after, and which version serves."""
    from rich.console import Console
    from rich.table import Column, Table

    from backend.accepted.versions import current, versions_of

    settings = settings_given()
    folder = settings.model_dir
    with told():
        keys = [_key(folder, project)] if project else _known(folder)
    name = Column("version", no_wrap=True, min_width=max((len(one.name) for one in versions_of(folder)), default=0))
    table = Table("project", name, "made", "box / 1 / 2 / 3 clicks, mIoU", "in general", "better", "serves")
    for key in keys:
        serving = current(folder, key)
        for one in versions_of(folder, key):
            figures = (_change(one, "project"), _change(one, "general"))
            better, serves = ("yes" if answer else "" for answer in (one.promoted, one == serving))
            table.add_row(key.partition(".")[0], one.name, one.made[:16].replace("T", " "), *figures, better, serves)
        table.add_row(key.partition(".")[0], BASE, "", "", "", "", "" if serving else "yes", end_section=True)
    if not table.rows:
        raise ended(f"nothing was learned yet (MODEL_DIR={folder}): docs/learning.md says how that begins", 0)
    Console().print(table)
    for key in keys if settings.edgesam_proposals else ():
        if told_of := _proposes(folder, key, current(folder, key)):
            typer.echo(f"project {key.partition('.')[0]} proposes: {told_of}")


@versions_app.command("rollback")
def rollback_command(
    project: Annotated[int, PROJECT],
    to: Annotated[str | None, typer.Option(help="A name of `versions`, or base; else what served before.")] = None,
) -> None:
    """Let another version serve a project: the one before, one of its versions, or the base weights."""
    from backend.accepted.versions import choose, current, versions_of

    folder = settings_given().model_dir
    with told():
        key = _key(folder, project)
    wanted = to if to is not None else _before(versions_of(folder, key), current(folder, key))
    if gone := [one for one in versions_of(folder, key) if one.name == wanted and not one.file.is_file()]:
        raise ended(f"the file of {wanted} is gone ({gone[0].file}): choose another one, or base", FAILED)
    try:
        choose(folder, key, None if wanted == BASE else wanted)
    except KeyError:
        names = ", ".join([*(one.name for one in versions_of(folder, key)), BASE])
        raise ended(f"project {project} has no version {wanted!r}: give one of {names}", FAILED) from None
    typer.echo(f"project {project}: {wanted} serves now")


def _before(versions: list[Version], serving: Version | None) -> str:
    """The version in whose place the one that serves came, where it is kept; else the base."""
    from backend.accepted.versions import COMPARED_WITH

    replaced = serving.metrics.get(COMPARED_WITH) if serving else None
    return replaced if replaced in [one.name for one in versions] else BASE


def _proposes(folder: Path, project: str, serving: Version | None) -> str | None:
    """How good what is proposed was found; None where nothing is: what serves is not what was judged."""
    from backend.accepted.versions import proposer_file, versions_of
    from backend.segmentation.checkpoints import WeightsError, said_in
    from backend.segmentation.proposer_files import TOLD, VERSION

    try:
        said = said_in(proposer_file(folder, project))
    except WeightsError:
        return None
    judged_with = said.get(VERSION, "")
    with_base = judged_with not in [one.name for one in versions_of(folder, project)]
    answers = judged_with == serving.name if serving else with_base
    return f"{said.get(TOLD)} (with {judged_with})" if answers else None


def _change(version: Version, what: str) -> str:
    before, after = (version.metrics.get(f"{what}_{when}") for when in ("before", "after"))
    return f"{_figures(before)} -> {_figures(after)}" if before and after else ""


def _figures(figures: dict[str, Any]) -> str:
    return " / ".join(f"{value:.1f}" for value in figures.values() if isinstance(value, float))


def _known(folder: Path) -> list[str]:
    from backend.accepted.annotations import projects

    return projects(folder)


def _key(folder: Path, project: int) -> str:
    """The newest project of this number that something is known of."""
    for key in _known(folder):
        if key.partition(".")[0] == str(project):
            return key
    raise ended(f"nothing was learned for a project {project}: `versions` shows what there is", FAILED)
