"""The verbs `predict` and `annotate`, for pictures in files. Slow imports are inside them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backend.command_line import FAILED, WRONG_USE, ended, settings_given

if TYPE_CHECKING:
    from backend.segmentation.engines import Engine
    from backend.settings import Settings

WEIGHTS = typer.Option(help="Name or path, instead of EDGESAM_WEIGHTS.")

files_app = typer.Typer()


@files_app.command("predict")
def predict_command(
    image: Annotated[Path, typer.Argument(help="A picture: JPEG, PNG, WebP, TIFF, BMP or GIF.")],
    out: Annotated[Path, typer.Option(help="The PNG to write: 255 where the object is.")],
    click: Annotated[list[str] | None, typer.Option(metavar="X,Y", help="A pixel of the object; several.")] = None,
    beside: Annotated[list[str] | None, typer.Option(metavar="X,Y", help="A pixel beside it; several.")] = None,
    box: Annotated[
        str | None, typer.Option(metavar="X,Y,X,Y", help="The box around it: left, top, right, bottom.")
    ] = None,
    weights: Annotated[str | None, WEIGHTS] = None,
) -> None:
    """The mask of one object of a picture in a file."""
    settings = settings_given(edgesam_weights=weights)
    from backend.segmentation.prompts import NEGATIVE, POSITIVE, Prompt

    inside, outside = ([_numbers(text, 2) for text in texts or []] for texts in (click, beside))
    if not inside and not box:
        raise ended("say where the object is: --click X,Y or --box LEFT,TOP,RIGHT,BOTTOM", WRONG_USE)
    try:
        prompt = Prompt(
            points=tuple((x, y) for x, y in inside + outside),
            labels=(POSITIVE,) * len(inside) + (NEGATIVE,) * len(outside),
            box=_box(box) if box else None,
        )
    except ValueError as error:
        raise ended(str(error), WRONG_USE) from None
    from backend.files.predict import predict

    with _told():
        typer.echo(predict(settings, _engine(settings), image, prompt, out))


@files_app.command("annotate")
def annotate_command(
    images: Annotated[Path, typer.Argument(help="The folder that the file names in --boxes lie in.")],
    boxes: Annotated[Path, typer.Option(help="COCO's JSON, with a bbox for each object.")],
    out: Annotated[Path, typer.Option(help="The JSON to write: the same, with masks as polygons.")],
    weights: Annotated[str | None, WEIGHTS] = None,
) -> None:
    """Masks for all boxes of a data set in COCO's format: of a detector, or drawn by people."""
    settings = settings_given(edgesam_weights=weights)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from backend.files.annotate import annotate, read_boxes

    columns = TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    masks, failed = 0, 0
    with _told():
        data = read_boxes(boxes)
        part = _beside(out)
        engine = _engine(settings)
        with Progress(*columns) as progress:
            for done in progress.track(annotate(settings, engine, images, data), total=len(data.by_image)):
                masks, failed = masks + done.masks, failed + (done.failure is not None)
                if done.failure:
                    progress.console.print(done.failure, markup=False)
        part.write_text(json.dumps(data.content))
        part.replace(out)
    typer.echo(f"{out}: {masks} masks on {len(data.by_image)} pictures, {failed} pictures are not whole")
    if failed:
        raise typer.Exit(FAILED)


def _beside(out: Path) -> Path:
    """Where the file is written before it is moved into its place: better to fail now than after all pictures."""
    if out.is_dir():
        raise ended(f"{out} is a folder: give a file", WRONG_USE)
    part = out.with_name(f"{out.name}.part")
    part.touch()
    return part


def _numbers(text: str, count: int) -> Sequence[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise ended(f"{text!r} is not {count} numbers with commas between them, in pixels", WRONG_USE)
    return numbers


def _box(text: str) -> tuple[float, float, float, float]:
    left, top, right, bottom = _numbers(text, 4)
    return left, top, right, bottom


def _engine(settings: Settings) -> Engine:
    from backend.labelstudio.configured import engine_of, weights_of

    return engine_of(settings, weights_of(settings))


@contextmanager
def _told() -> Iterator[None]:
    """What a person can put right ends the command with one sentence."""
    from backend.files.picture_file import FileError
    from backend.segmentation.weights import WeightsError

    try:
        yield
    except (FileError, WeightsError, OSError) as error:
        raise ended(str(error), FAILED) from error
    except KeyboardInterrupt:
        raise ended("stopped; nothing was written", FAILED) from None
