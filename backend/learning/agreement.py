"""Whether a faster engine or precision still gives torch's float32 masks: the same prompts, mask against mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

from backend.learning.clicks import first_click, iou, next_click, tight_box
from backend.learning.evaluate import Door, Selection, as_prompt
from backend.learning.masks import spread
from backend.segmentation.prompts import Prompt

PROMPTS = ("box", "click1", "click2")

Figures = dict[str, tuple[float, float]]
"""By prompt: mean IoU with the reference's masks, and mean IoU with the true ones."""


def agreement(
    reference: Door,
    others: Mapping[str, Door],
    data: Path,
    selection: Selection,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Figures]:
    """Figures of each of `others`, and of the "reference" itself. Second clicks go where the reference is wrong.

    progress: called with pictures done and in all. Raises DataError where the data cannot be used.
    """
    seen: dict[str, dict[str, list[tuple[float, float]]]] = {
        name: {prompt: [] for prompt in PROMPTS} for name in ("reference", *others)
    }
    samples = selection.samples(data)
    for number, sample in enumerate(samples, 1):
        labels, pixels = sample.labels(), sample.pixels()
        for door in (reference, *others.values()):
            door.open(pixels)
        for one in spread(sample.objects, selection.objects):
            truth = labels == one
            if not truth.any():
                continue
            first = first_click(truth)
            second = next_click(truth, reference.ask(as_prompt([first])))
            prompts = (
                Prompt(box=tight_box(truth)),
                as_prompt([first]),
                as_prompt([first, second] if second else [first]),
            )
            for name, prompt in zip(PROMPTS, prompts, strict=True):
                wanted = reference.ask(prompt)
                seen["reference"][name].append((1.0, iou(truth, wanted)))
                for other, door in others.items():
                    mask = door.ask(prompt)
                    seen[other][name].append((iou(wanted, mask), iou(truth, mask)))
        if progress:
            progress(number, len(samples))
    return {
        other: {name: (fmean(one for one, _ in rows), fmean(one for _, one in rows)) for name, rows in figures.items()}
        for other, figures in seen.items()
    }
