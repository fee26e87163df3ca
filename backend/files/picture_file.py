"""A picture in a file, as it is segmented: what a page would show of it, and its windows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from backend.labelstudio.pixels import pixels_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.engines import Embedding, Engine
from backend.segmentation.predictor import Mask, encode, masks_of, seen
from backend.segmentation.prompts import Prompt
from backend.segmentation.windows import Window
from backend.settings import Settings


class FileError(Exception):
    """A file that cannot be read or written, or says something else than it should. The message says which."""


def masks_in(settings: Settings, engine: Engine, file: Path, prompts: Sequence[Prompt]) -> list[Mask]:
    """A mask for each prompt, as the service answers it. Raises FileError where the file is no picture."""
    try:
        data = file.read_bytes()
        pixels, frame = pixels_of(data, settings.edgesam_max_megapixels * 1_000_000)
    except (OSError, Unanswerable) as error:
        raise FileError(f"{file}: {error}") from None
    if not prompts:
        return []
    answering, embedding = seen(engine, pixels, frame)

    @cache
    def closer(window: Window) -> Embedding:
        return encode(answering, *pixels_of(data, settings.edgesam_max_megapixels * 1_000_000, window))

    masks = dict(masks_of(answering, embedding, prompts, settings.edgesam_smallest_part, closer))
    return [masks[place] for place in range(len(prompts))]
