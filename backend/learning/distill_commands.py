"""The verbs around distillation. What is slow to import is imported by the verb that needs it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from backend.learning.command_line import found_weights, told

distill_app = typer.Typer(no_args_is_help=True)


class Stage(StrEnum):
    """encoder: the teacher's embeddings. prompts: masks, with true masks beside the teacher's."""

    ENCODER = "encoder"
    PROMPTS = "prompts"


@distill_app.command("distill")
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

    with told():
        true_share = true_share if masks and stage is Stage.PROMPTS else 0.0
        mixed = Sources(photos, tuple(masks or ()), true_share, MOSAICS[stage.value])
        wanted = Distillation(
            stage=stage.value,
            out=out,
            teacher=found_weights(teacher),
            sources=mixed,
            minutes=minutes,
            device=device,
            resume=resume,
            start=found_weights(weights) if weights else None,
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


@distill_app.command("card")
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

    with told():
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


@distill_app.command("curve")
def curve_command(
    picture: Annotated[Path, typer.Argument(help="The picture to write.")],
    log: Annotated[list[Path], typer.Argument(help="Logs of runs, one after the other.")],
) -> None:
    """Draw the curve of a training run from its log. Needs matplotlib."""
    from backend.learning.curve import draw_curve

    with told():
        draw_curve(log, picture)


@distill_app.command("pack")
def pack_command(
    photographs: Annotated[Path, typer.Argument(help="Folder with image files, also in folders below it.")],
    out: Annotated[Path, typer.Argument(help="Folder for the shards.")],
) -> None:
    """Pack JPEGs into tar shards below 16 MB, which `distill` trains on; they can be handed over one by one."""
    from backend.learning.masks import DataError
    from backend.learning.photographs import packed

    files = sorted(path for path in photographs.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    with told():
        if not files:
            raise DataError(f"{photographs} holds no .jpg or .jpeg")
        typer.echo(f"{len(packed(files, out))} shards, {len(files)} photographs")


@distill_app.command("split")
def split_command(
    file: Annotated[Path, typer.Argument(help="A checkpoint, or any file.")],
    out: Annotated[Path, typer.Argument(help="Folder for the parts.")],
) -> None:
    """Split a file into parts below 16 MB."""
    from backend.learning.parts import split

    with told():
        for part in split(file, out):
            typer.echo(str(part))


@distill_app.command("join")
def join_command(
    folder: Annotated[Path, typer.Argument(help="Folder with the parts.")],
    target: Annotated[Path, typer.Argument(help="The file to make; the parts carry its name.")],
) -> None:
    """Join the parts of a file again, and check that it is what was split."""
    from backend.learning.parts import join

    with told():
        join(folder, target.name, target)
