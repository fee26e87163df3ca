"""How good masks are: the simulated annotator at the door of a model, object by object.

For each object: a tight box; then clicks, each with the model's answer to those before it. `box`, `click1`, `click2`,
`click3` are IoUs at the image's own resolution; `noc85` and `noc90` the number of clicks to that IoU. Averages are
over a source's objects first and over sources then, so that a large source does not outweigh the others.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.learning.clicks import Click, Region, first_click, iou, next_click, tight_box
from backend.learning.masks import DOMAIN, OBJECT, DataError, Sample, kinds_of, samples_of, source_folders, spread
from backend.segmentation.engines import Embedding, Engine
from backend.segmentation.predictor import encode, masks_of, seen
from backend.segmentation.preprocess import Frame
from backend.segmentation.prompts import Prompt
from backend.segmentation.windows import Closer

Row = dict[str, str | int | float]
Figures = dict[str, float]

GOALS = (85, 90)
ENOUGH = 0.90
"""After three clicks, an object that reached this needs no more."""


class Door(Protocol):
    """Whatever answers prompts on a picture."""

    def open(self, pixels: NDArray[np.uint8]) -> None:
        """RGB uint8 H x W x 3: the picture that the next prompts are about."""

    def ask(self, prompt: Prompt) -> Region:
        """The mask, bool H x W."""


class ModelDoor:
    """Our own predictor, as it answers in the product: with the replay of clicks.

    windows: whether objects are looked at closely too. smallest_share: as of predictor.masks_of.
    """

    def __init__(self, engine: Engine, windows: bool = True, smallest_share: float = 0.0) -> None:
        self.engine = self.answering = engine
        self.windows, self.smallest_share = windows, smallest_share
        self.embedding: Embedding | None = None
        self.closer: Closer | None = None

    def open(self, pixels: NDArray[np.uint8]) -> None:
        by, self.embedding = seen(self.engine, pixels, Frame.of(pixels))
        self.answering = by
        if self.windows:
            self.closer = cache(lambda window: encode(by, pixels[window.rows, window.columns], window.frame))

    def ask(self, prompt: Prompt) -> Region:
        assert self.embedding is not None, "open a picture first"
        ((_, mask),) = masks_of(self.answering, self.embedding, [prompt], self.smallest_share, self.closer)
        return mask.pixels


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of the data is measured. skip: so many first images of each source, that something was trained on,
    are left out; images: at most so many of the rest; objects: of each image, spread over its list."""

    sources: tuple[str, ...] = ()
    images: int | None = None
    objects: int = 5
    split: str | None = None
    clicks: int = 3
    skip: int = 0

    def samples(self, data: Path) -> list[Sample]:
        """Raises DataError where nothing is selected."""
        folders = {folder.name: folder for folder in source_folders(data)}
        if unknown := set(self.sources) - set(folders):
            raise DataError(f"{data} has no source {', '.join(sorted(unknown))}; it has {', '.join(sorted(folders))}")
        chosen = [folder for name, folder in folders.items() if not self.sources or name in self.sources]
        found = [sample for one in chosen for sample in samples_of(one, self.split)[self.skip :][: self.images]]
        if not any(sample.objects for sample in found):
            raise DataError(f"nothing to measure in {data}: {len(found)} images are selected, and no objects on them")
        return found


@dataclass(frozen=True, slots=True)
class Report:
    """rows: one object each. sources and averages: figures by name."""

    rows: list[Row]
    sources: dict[str, Figures]
    kinds: dict[str, str]
    averages: dict[str, Figures]
    seconds_per_prompt: float

    def as_json(self) -> dict[str, object]:
        sources = {
            name: {"kind": self.kinds.get(name, OBJECT), "objects": self.objects_of(name), **figures}
            for name, figures in self.sources.items()
        }
        return {
            "sources": sources,
            "averages": self.averages,
            "median_seconds_per_prompt": self.seconds_per_prompt,
            "rows": self.rows,
        }

    def objects_of(self, source: str) -> int:
        return sum(row["source"] == source for row in self.rows)


def evaluate(
    door: Door, data: Path, selection: Selection, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Asks the door about every selected object. progress: called with pictures done and in all.

    Raises DataError where the data cannot be used.
    """
    rows: list[Row] = []
    seconds: list[float] = []
    samples = selection.samples(data)
    for number, sample in enumerate(samples, 1):
        rows += judged(door, sample, spread(sample.objects, selection.objects), selection.clicks, seconds)
        if progress:
            progress(number, len(samples))
    return summed_up(rows, kinds_of(data), median(seconds) if seconds else 0.0)


def judged(door: Door, sample: Sample, objects: Iterable[int], clicks: int, seconds: list[float]) -> list[Row]:
    """One row for each object of one picture; the seconds of each answer are added to `seconds`."""

    def ask(prompt: Prompt) -> Region:
        started = time.perf_counter()
        mask = door.ask(prompt)
        seconds.append(time.perf_counter() - started)
        return mask

    labels = sample.labels()
    door.open(sample.pixels())
    rows: list[Row] = []
    for number in objects:
        truth = labels == number
        if not truth.any():
            continue
        row: Row = {"source": sample.source, "image": sample.image.name, "object": number, "area": int(truth.sum())}
        trail = clicked(ask, truth, clicks)
        row["box"] = iou(truth, ask(Prompt(box=tight_box(truth))))
        rows.append(row | _clicks_figures(trail, clicks))
    return rows


def clicked(ask: Callable[[Prompt], Region], truth: Region, most: int) -> list[float]:
    """The IoU after each click, until nothing is wrong, it is good enough, or `most` clicks are made."""
    clicks, trail = [first_click(truth)], list[float]()
    while len(trail) < most:
        mask = ask(as_prompt(clicks))
        trail.append(iou(truth, mask))
        following = next_click(truth, mask)
        if following is None or (len(trail) >= 3 and max(trail) >= ENOUGH):
            break
        clicks.append(following)
    return trail


def as_prompt(clicks: list[Click]) -> Prompt:
    """A click is in the middle of its pixel."""
    return Prompt(
        tuple((click.x + 0.5, click.y + 0.5) for click in clicks), tuple(int(click.positive) for click in clicks)
    )


def summed_up(rows: list[Row], kinds: dict[str, str], seconds_per_prompt: float = 0.0) -> Report:
    """Means by source, and over the sources of each kind."""
    names = [name for name in rows[0] if name.startswith(("box", "click", "noc"))] if rows else []
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[str(row["source"])].append(row)
    sources = {
        source: {name: fmean(float(row[name]) for row in group) for name in names}
        for source, group in sorted(grouped.items())
    }
    averages = {}
    for title, wanted in (
        ("object sources", {OBJECT}),
        ("domain sources", {DOMAIN}),
        ("all sources", {OBJECT, DOMAIN}),
    ):
        chosen = [figures for source, figures in sources.items() if kinds.get(source, OBJECT) in wanted]
        if chosen:
            averages[title] = {name: fmean(figures[name] for figures in chosen) for name in names}
    return Report(rows, sources, kinds, averages, seconds_per_prompt)


def _clicks_figures(trail: list[float], most: int) -> Row:
    figures: Row = {f"click{number}": trail[min(number, len(trail)) - 1] for number in (1, 2, 3)}
    if most > 3:
        for goal in GOALS:
            figures[f"noc{goal}"] = next((n for n, value in enumerate(trail, 1) if value >= goal / 100), most)
    return figures
