"""A report for people: a table, and a picture of the worst, median and best cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.table import Table

from backend.learning.clicks import Region, first_click
from backend.learning.evaluate import Door, Report, Row, as_prompt
from backend.learning.masks import DataError, Sample

TILE = 256
TRUE_COLOUR, MASK_COLOUR = np.array([40, 200, 80]), np.array([240, 60, 60])


def table_of(report: Report, baseline: dict[str, dict[str, float]] | None = None) -> Table:
    """mIoU in percent and numbers of clicks, by source and on average; with a baseline, the distance to it too.

    baseline: figures by source or average, from another report over the same objects.
    """
    names = list(next(iter(report.averages.values()), {}))
    table = Table("source", "objects", *names)
    lines = {**report.sources, **report.averages}
    for name, figures in lines.items():
        objects = str(report.objects_of(name)) if name in report.sources else ""
        known = (baseline or {}).get(name, {})
        table.add_row(name, objects, *(_shown(key, figures[key], known.get(key)) for key in names))
    return table


def figures_in(file: Path) -> dict[str, dict[str, float]]:
    """What `table_of` compares with, from the file of another report. Raises OSError; DataError where it is none."""
    try:
        report = json.loads(file.read_text())
        return {**report["sources"], **report["averages"]}
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{file} is no report that `evaluate --out` wrote") from None


def picture_of(door: Door, samples: Sequence[Sample], rows: Sequence[Row], path: Path, each: int = 5) -> None:
    """A picture of one-click masks: a row each of the worst, the median and the best cases.

    Green is what was missed, red what spilled over, both together what is right; the cross is the click.
    """
    by_name = {(sample.source, sample.image.name): sample for sample in samples}
    ranked = sorted(rows, key=lambda row: float(row["click1"]))
    middle = max(0, (len(ranked) - each) // 2)
    chosen = [ranked[:each], ranked[middle : middle + each], ranked[-each:]]
    sheet = Image.new("RGB", (TILE * each, (TILE + 16) * len(chosen)), "white")
    for line, group in enumerate(chosen):
        for column, row in enumerate(group):
            tile = _tile(door, by_name[str(row["source"]), str(row["image"])], int(row["object"]))
            place = column * TILE, line * (TILE + 16)
            sheet.paste(tile, place)
            caption = f"{row['source']} {100 * float(row['click1']):.0f} %"
            ImageDraw.Draw(sheet).text((place[0] + 2, place[1] + TILE + 2), caption, fill="black")
    sheet.save(path)


def _tile(door: Door, sample: Sample, number: int) -> Image.Image:
    pixels, truth = sample.pixels(), sample.labels() == number
    door.open(pixels)
    click = first_click(truth)
    image = Image.fromarray(_painted(pixels, truth, door.ask(as_prompt([click]))))
    cross, arm = ImageDraw.Draw(image), max(image.size) // 40
    for step in ((arm, 0), (0, arm)):
        ends = (click.x - step[0], click.y - step[1], click.x + step[0], click.y + step[1])
        cross.line(ends, fill="yellow", width=max(2, arm // 4))
    image.thumbnail((TILE, TILE))
    return image


def _painted(pixels: NDArray[np.uint8], truth: Region, mask: Region) -> NDArray[np.uint8]:
    painted = pixels.astype(np.float32)
    for region, colour in ((truth, TRUE_COLOUR), (mask, MASK_COLOUR)):
        painted[region] = 0.6 * painted[region] + 0.4 * colour
    return painted.astype(np.uint8)


def _shown(name: str, value: float, known: float | None) -> str:
    factor, digits = (1, 2) if name.startswith("noc") else (100, 1)
    shown = f"{factor * value:.{digits}f}"
    return shown if known is None else f"{shown} ({factor * (value - known):+.{digits}f})"
