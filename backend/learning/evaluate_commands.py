"""The verbs that measure masks. What is slow to import is imported by the verb that needs it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from backend.command_line import settings_given
from backend.learning.command_line import found_weights, told

evaluate_app = typer.Typer(no_args_is_help=True)


class Rule(StrEnum):
    """Which mask answers a single click; the product uses `single`."""

    SINGLE = "single"
    STABILITY = "stability"
    PREDICTED = "predicted"


@evaluate_app.command("evaluate")
def evaluate_command(
    data: Annotated[Path, typer.Option(help="Folder of sources: images/, masks/, index.json in each.")],
    weights: Annotated[str, typer.Option(help="A name of `weights list`, or a file.")] = "edgesam",
    out: Annotated[Path | None, typer.Option(help="Report to write: all figures, object by object.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Picture of worst, median and best cases to write.")] = None,
    baseline: Annotated[Path | None, typer.Option(help="Another report, to show the distance to.")] = None,
    sources: Annotated[str, typer.Option(help="Only these sources, separated by commas.")] = "",
    images: Annotated[int | None, typer.Option(help="At most so many images of each source.")] = None,
    objects: Annotated[int, typer.Option(help="At most so many objects of each image.")] = 5,
    split: Annotated[str | None, typer.Option(help="Only images of this split.")] = None,
    clicks: Annotated[int, typer.Option(min=3, max=20, help="Most clicks; above 3 they are counted.")] = 3,
    rule: Annotated[Rule, typer.Option(help="Which mask answers one click.")] = Rule.SINGLE,
    replay: Annotated[bool, typer.Option(help="Replay clicks with the mask before.")] = True,
    windows: Annotated[bool, typer.Option(help="Look at objects in a window of the picture too.")] = True,
    skip: Annotated[int, typer.Option(min=0, help="Leave out so many first images of each source.")] = 0,
) -> None:
    """Measure masks: mIoU of a box and of 1, 2, 3 clicks of a simulated annotator, by source and on average.

    They are as they are served, small parts cut away (EDGESAM_SMALLEST_PART). Other rules and no replay are measured
    with torch, and nothing is cut away.
    """
    from rich.console import Console
    from rich.progress import Progress

    from backend.labelstudio.configured import engine_of
    from backend.learning.evaluate import ModelDoor, Selection, evaluate
    from backend.learning.masks import DataError
    from backend.learning.report import figures_in, picture_of, table_of
    from backend.learning.variants import Variant
    from backend.segmentation.engine_torch import load_torch_engine

    selection = Selection(tuple(filter(None, sources.split(","))), images, objects, split, clicks, skip)
    with told():
        for file in (out, picture):
            if file and not file.parent.is_dir():
                raise DataError(f"{file} cannot be written: there is no folder {file.parent}")
        known = figures_in(baseline) if baseline else None
        usual = rule is Rule.SINGLE and replay
        found, settings = found_weights(weights), settings_given()
        door = (
            ModelDoor(engine_of(settings, found), windows, settings.edgesam_smallest_part)
            if usual
            else ModelDoor(Variant(load_torch_engine(found), rule.value, replay), windows)
        )
        with Progress(transient=True) as progress:
            bar = progress.add_task("images")
            report = evaluate(door, data, selection, lambda done, of: progress.update(bar, completed=done, total=of))
        if out:
            out.write_text(json.dumps(report.as_json(), indent=1))
        if picture:
            picture_of(door, selection.samples(data), report.rows, picture)
    Console().print(table_of(report, known))


@evaluate_app.command("agreement")
def agreement_command(
    data: Annotated[Path, typer.Option(help="Folder of sources: images/, masks/, index.json in each.")],
    weights: Annotated[str, typer.Option(help="A name of `weights list`, or a file.")] = "edgesam",
    sources: Annotated[str, typer.Option(help="Only these sources, separated by commas.")] = "",
    images: Annotated[int | None, typer.Option(help="At most so many images of each source.")] = None,
    objects: Annotated[int, typer.Option(help="At most so many objects of each image.")] = 5,
) -> None:
    """Measure whether OpenVINO, in each precision of this CPU, gives the masks of torch in float32."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from backend.learning.agreement import PROMPTS, agreement
    from backend.learning.evaluate import ModelDoor, Selection
    from backend.segmentation.engine_openvino import load_openvino_engine, precisions
    from backend.segmentation.engine_torch import load_torch_engine

    with told(), Progress(transient=True) as progress:
        found, folder = found_weights(weights), settings_given().model_dir / "openvino"
        others = {f"openvino {name}": ModelDoor(load_openvino_engine(found, folder, name)) for name in precisions()}
        bar = progress.add_task("images")
        figures = agreement(
            ModelDoor(load_torch_engine(found, "cpu")),
            others,
            data,
            Selection(tuple(filter(None, sources.split(","))), images, objects),
            lambda done, of: progress.update(bar, completed=done, total=of),
        )
    table = Table("mean IoU with torch f32 (and with the truth), %", *PROMPTS)
    for name, by_prompt in figures.items():
        table.add_row(name, *(f"{100 * same:.2f} ({100 * true:.2f})" for same, true in by_prompt.values()))
    Console().print(table)
