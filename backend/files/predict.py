"""One prompt on one picture -> a mask in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backend.files.picture_file import FileError, masks_in
from backend.segmentation.engines import Engine
from backend.segmentation.extents import box_of
from backend.segmentation.prompts import Prompt
from backend.settings import Settings


def predict(settings: Settings, engine: Engine, file: Path, prompt: Prompt, out: Path) -> str:
    """Writes the mask as a PNG of the picture's size, 255 where the object is; says where and how sure that is.

    Raises FileError where the file is no picture, a click lies beside it, nothing is found, or `out` cannot be written.
    """
    if out.suffix.lower() != ".png" or (out.exists() and out.samefile(file)):
        raise FileError(f"{out}: the mask is a PNG of its own; give another name that ends with .png")
    [mask] = masks_in(settings, engine, file, [prompt])
    height, width = mask.pixels.shape
    if beside := [(x, y) for x, y in prompt.points if not (0 <= x <= width and 0 <= y <= height)]:
        raise FileError(f"{file} is {width} x {height} pixels: {beside[0]} lies beside it")
    if not mask.pixels.any():
        raise FileError(f"{file}: the model found nothing for this prompt; the picture is {width} x {height}")
    try:
        Image.fromarray(mask.pixels.astype(np.uint8) * 255).save(out, "PNG")
    except OSError as error:
        raise FileError(f"{out} cannot be written: {error}") from None
    left, top, right, bottom = (round(side) for side in box_of(mask.pixels))
    share = np.count_nonzero(mask.pixels) / mask.pixels.size
    about = f"the object is {share:.1%} of it, box {left},{top},{right},{bottom}, score {mask.score:.2f}"
    return f"{out}: {width} x {height}, {about}"
