"""The verbs of the command line that concern learning. What is slow to import is imported by the verb that needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.command_line import FAILED, ended, settings_given

if TYPE_CHECKING:
    from backend.segmentation.weights import WeightsFile

learning_app = typer.Typer(no_args_is_help=True)


class Stage(StrEnum):
    """encoder: the teacher's embeddings. prompts: masks, with true masks beside the teacher's."""

    ENCODER = "encoder"
    PROMPTS = "prompts"


class Rule(StrEnum):
    """Which mask answers a single click; the product uses `single`."""

    SINGLE = "single"
    STABILITY = "stability"
    PREDICTED = "predicted"


@learning_app.command("evaluate")
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
    from backend.learning.report import figures_of, picture_of, table_of
    from backend.learning.variants import Variant
    from backend.segmentation.engine_torch import load_torch_engine

    selection = Selection(tuple(filter(None, sources.split(","))), images, objects, split, clicks, skip)
    with _told():
        for file in (out, picture):
            if file and not file.parent.is_dir():
                raise DataError(f"{file} cannot be written: there is no folder {file.parent}")
        usual = rule is Rule.SINGLE and replay
        found, settings = _found(weights), settings_given()
        door = (
            ModelDoor(engine_of(settings, found), windows, settings.edgesam_smallest_part)
            if usual
            else ModelDoor(Variant(load_torch_engine(found), rule.value, replay), windows)
        )
        with Progress(transient=True) as progress:
            bar = progress.add_task("images")
            report = evaluate(door, data, selection, lambda done, of: progress.update(bar, completed=done, total=of))
        known = figures_of(json.loads(baseline.read_text())) if baseline else None
        if out:
            out.write_text(json.dumps(report.as_json(), indent=1))
        if picture:
            picture_of(door, selection.samples(data), report.rows, picture)
    Console().print(table_of(report, known))


@learning_app.command("agreement")
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

    with _told(), Progress(transient=True) as progress:
        found, folder = _found(weights), settings_given().model_dir / "openvino"
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


@learning_app.command("distill")
def distill_command(
    photos: Annotated[Path, typer.Option(help="Folder of tar shards of JPEGs; it may grow meanwhile.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: state, weights so far, log.")],
    stage: Annotated[Stage, typer.Option(help="encoder first, prompts then.")] = Stage.ENCODER,
    teacher: Annotated[str, typer.Option(help="Name or file of the teacher's weights.")] = "mobile_sam",
    weights: Annotated[str | None, typer.Option(help="Weights to begin with, not a random encoder.")] = None,
    masks: Annotated[list[Path] | None, typer.Option(help="Folders of true masks; never those of evaluation.")] = None,
    true_share: Annotated[float, typer.Option(min=0, max=1, help="Share of canvases with true masks.")] = 0.75,
    minutes: Annotated[float, typer.Option(help="How long this call runs.")] = 30,
    cooldown: Annotated[float, typer.Option(min=0, max=1, help="Last share of the minutes: rate falls to 0.")] = 0.0,
    rate: Annotated[float | None, typer.Option(help="Learning rate, instead of the stage's own.")] = None,
    batch: Annotated[int, typer.Option(help="Canvases a step, on each device.")] = 2,
    workers: Annotated[int, typer.Option(help="Processes that draw canvases ahead.")] = 1,
    objects: Annotated[int, typer.Option(help="Most objects to prompt for on a canvas.")] = 8,
    keep: Annotated[Path | None, typer.Option(help="Folder for the teacher's embeddings: for a CPU.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda; torchrun starts one process for each GPU.")] = "auto",
    seed: Annotated[int, typer.Option(help="Same seed, same start.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="First measure loader, teacher and student.")] = False,
) -> None:
    """Train EdgeSAM from a teacher and true masks. SIGTERM or Ctrl-C saves and ends; --resume goes on."""
    from backend.learning.distill import MOSAICS, Distillation, distill
    from backend.learning.loader import Sources

    with _told():
        true_share = true_share if masks and stage is Stage.PROMPTS else 0.0
        mixed = Sources(photos, tuple(masks or ()), true_share, MOSAICS[stage.value])
        wanted = Distillation(
            stage=stage.value,
            out=out,
            teacher=_found(teacher),
            sources=mixed,
            minutes=minutes,
            device=device,
            resume=resume,
            start=_found(weights) if weights else None,
            keep=keep,
            batch=batch,
            workers=workers,
            rate=rate,
            cooldown=cooldown,
            objects=objects,
            seed=seed,
            measure=measure,
        )
        progress = distill(wanted, lambda line: typer.echo(line))
    typer.echo(f"{progress.stage}: step {progress.step}, {progress.seconds / 60:.1f} minutes in all; saved in {out}")


@learning_app.command("card")
def card_command(
    weights: Annotated[Path, typer.Argument(help="The weights to describe.")],
    report: Annotated[Path, typer.Option(help="Report of `evaluate` for them.")],
    baseline: Annotated[Path, typer.Option(help="Report of the teacher on the same objects.")],
    log: Annotated[list[Path], typer.Option(help="Logs of the runs that made them, in order.")],
    photos: Annotated[Path, typer.Option(help="Folder with the .jsonl lists of the photographs.")],
    masks_note: Annotated[Path | None, typer.Option(help="Text about the true masks and their licences.")] = None,
    notes: Annotated[Path | None, typer.Option(help="Text to end with.")] = None,
    teacher: Annotated[str, typer.Option(help="What the teacher is.")] = "MobileSAM's published weights (Apache-2.0)",
) -> None:
    """Write the model card beside the weights: recipe, data and licences, figures by source."""
    from backend.learning.card import Story, model_card

    with _told():
        story = Story(
            weights,
            teacher,
            tuple(log),
            tuple(sorted(photos.glob("*.jsonl"))),
            masks_note.read_text().strip() if masks_note else "",
            notes.read_text().strip() if notes else "",
        )
        text = model_card(story, json.loads(report.read_text()), json.loads(baseline.read_text()))
        card = weights.with_suffix(".md")
        card.write_text(text)
    typer.echo(str(card))


@learning_app.command("curve")
def curve_command(
    picture: Annotated[Path, typer.Argument(help="The picture to write.")],
    log: Annotated[list[Path], typer.Argument(help="Logs of runs, one after the other.")],
) -> None:
    """Draw the curve of a training run from its log. Needs matplotlib."""
    from backend.learning.curve import draw_curve

    with _told():
        draw_curve(log, picture)


@learning_app.command("pack")
def pack_command(
    photographs: Annotated[Path, typer.Argument(help="Folder with image files, also in folders below it.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards.")],
) -> None:
    """Pack JPEGs into tar shards below 16 MB, which `distill` trains on; they can be handed over one by one."""
    from backend.learning.photographs import packed

    files = sorted(path for path in photographs.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    typer.echo(f"{len(packed(files, out))} shards, {len(files)} photographs")


@learning_app.command("split")
def split_command(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or any file.")],
    out: Annotated[Path, typer.Argument(help="Folder for the parts.")],
) -> None:
    """Split a file into parts below 16 MB."""
    from backend.learning.parts import split

    for part in split(file, out):
        typer.echo(str(part))


@learning_app.command("join")
def join_command(
    folder: Annotated[Path, typer.Argument(help="Folder with the parts.")],
    target: Annotated[Path, typer.Argument(help="The file to make; the parts carry its name.")],
) -> None:
    """Join the parts of a file again, and check that it is what was split."""
    from backend.learning.parts import join

    with _told():
        join(folder, target.name, target)


def _found(name: str) -> WeightsFile:
    from backend.segmentation.weights import find_weights

    settings = settings_given()
    return find_weights(name, settings.model_dir, settings.edgesam_accept_licence)


@contextmanager
def _told() -> Iterator[None]:
    """What a person can put right ends the command with one sentence instead of a traceback."""
    from backend.learning.masks import DataError
    from backend.segmentation.weights import WeightsError

    try:
        yield
    except (DataError, WeightsError, FileNotFoundError) as error:
        raise ended(str(error), FAILED) from error
