"""Photographs that no cache knows: made anew for each round from the few that come with the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from backend.benchmark.errors import BenchmarkError
from backend.segmentation.prompts import Point

ORIGINALS = Path(__file__).resolve().parents[2] / "demo" / "photographs"

Size = tuple[int, int]
SIZES: dict[str, Size] = {"640x480": (640, 480), "1080p": (1920, 1080), "12 MP": (4000, 3000)}
"""Width and height in pixels."""

QUALITY = 92


@dataclass(frozen=True, slots=True)
class Photograph:
    """A JPEG of `width` x `height` pixels."""

    path: Path
    width: int
    height: int


def originals(folder: Path = ORIGINALS) -> list[Path]:
    """The photographs to make others from. Raises BenchmarkError where there are none."""
    found = sorted(folder.glob("*.jpg"))
    if not found:
        raise BenchmarkError(f"{folder} holds no photographs (*.jpg): run the benchmark in a clone of the project")
    return found


def fresh(paths: Sequence[Path], size: Size, folder: Path, chance: np.random.Generator) -> Photograph:
    """A new JPEG in `folder`: a part of one of the photographs, perhaps mirrored, darker or brighter, at this size."""
    path = folder / f"{chance.bytes(8).hex()}.jpg"
    with Image.open(paths[int(chance.integers(len(paths)))]) as opened:
        whole = opened.convert("RGB")
    part = whole.resize(size, Image.Resampling.BICUBIC, box=_window(whole.size, size, chance))
    if chance.random() < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    gamma = chance.uniform(0.8, 1.25)
    part = part.point([round(255 * (level / 255) ** gamma) for level in range(256)] * 3)
    part.save(path, quality=QUALITY)
    return Photograph(path, *size)


def somewhere(photograph: Photograph, chance: np.random.Generator) -> Point:
    """A point of the middle half of a photograph, in pixels."""
    x, y = chance.uniform(0.25, 0.75, 2)
    return float(x * photograph.width), float(y * photograph.height)


def _window(whole: Size, size: Size, chance: np.random.Generator) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a part of `whole` with the proportions of `size`, 70 to 100 % of the largest one."""
    scale = min(whole[0] / size[0], whole[1] / size[1]) * chance.uniform(0.7, 1.0)
    width, height = size[0] * scale, size[1] * scale
    left, top = chance.uniform(0, whole[0] - width), chance.uniform(0, whole[1] - height)
    return left, top, left + width, top + height
