"""The verb `finetune`: on a project of Label Studio, or on masks in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.command_line import WRONG_USE, ended, settings_given
from backend.learning.command_line import told

if TYPE_CHECKING:
    from rich.table import Table

    from backend.learning.gate import Verdict


finetune_app = typer.Typer(no_args_is_help=True)


@finetune_app.command("finetune")
def finetune_command(
    project: Annotated[
        int | None, typer.Option(min=1, help="The project's number, as in its address in Label Studio.")
    ] = None,
    dataset: Annotated[Path | None, typer.Option(help="A folder with images/, masks/, index.json instead.")] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Learn from the first images of --dataset only.")] = None,
    out: Annotated[Path | None, typer.Option(help="The .safetensors to write, for EDGESAM_WEIGHTS.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="With --dataset: name or path, instead of EDGESAM_WEIGHTS.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Longest time, instead of EDGESAM_FINETUNE_MINUTES.")] = None,
) -> None:
    """Teach the model what a project's annotators accepted, or the masks of a folder; compare old and new.

    A project gets a version of its own, where that is better. A folder gives a file, better or not.
    """
    settings = settings_given(edgesam_weights=weights, edgesam_finetune_minutes=minutes)
    if (project is None) == (dataset is None) or (dataset is None) != (out is None):
        raise ended("say what to learn from: --project N, or --dataset DIR with --out FILE", WRONG_USE)
    if project and (weights or limit):
        raise ended(
            "--weights and --limit are for --dataset: a project learns from all that was accepted, with the weights "
            "that serve it (EDGESAM_WEIGHTS)",
            WRONG_USE,
        )
    with told():
        if dataset and out:
            from rich.console import Console

            from backend.learning.finetune_files import finetune_files

            Console().print(_table(finetune_files(settings, dataset, limit, out, typer.echo)))
        elif project:
            from backend.learning.job import finetune_project

            finetune_project(settings, project, typer.echo)


def _table(verdict: Verdict) -> Table:
    from rich.table import Table

    table = Table("mIoU, %", "box", "1 click", "2 clicks", "3 clicks", title=verdict.reason)
    for name, figures in (
        ("validation, before", verdict.project_before),
        ("validation, after", verdict.project_after),
        ("in general, before", verdict.general_before),
        ("in general, after", verdict.general_after),
    ):
        table.add_row(name, *(f"{value:.1f}" for value in figures.values()))
    return table
