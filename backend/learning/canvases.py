"""What a student looks at: photographs and pictures with true masks, made endless by augmentation.

A canvas is 1024 x 1024 pixels, as at inference: one picture with zeros right and below it, a part of one that is shown
like a picture of its own, or a mosaic of four that shows more objects, closer together and at other sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.segmentation.preprocess import CELL, LOW_RES_SIDE, SIDE, Frame

COVERED, HALF = 255, 127
"""Coverage of a cell that an object covers wholly; with more than HALF the cell belongs to the object's mask."""
SMALLEST_OBJECT = 12
"""Objects below so many cells of the low-res grid are not prompted for."""
SMALLEST_PART = 32
"""No side of a part of a picture has fewer pixels, but where the picture has."""
SHRUNK = 1.2
"""From this factor on, pixels are averaged when a picture is made smaller."""

Pixels = NDArray[np.uint8]
Labels = NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Canvas:
    """One thing to look at.

    pixels: RGB uint8 1024 x 1024 x 3. extent: height and width of the picture on it. coverage: uint8 N x 256 x 256, how
    much of each cell each true object covers, 255 for all of it. photograph: nobody drew masks on it.
    """

    pixels: Pixels
    extent: tuple[int, int]
    coverage: NDArray[np.uint8]
    photograph: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture before it lies on a canvas: RGB uint8 H x W x 3, with its label map H x W (None for a photograph)."""

    image: Pixels
    labels: Labels | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.image.shape[1], self.image.shape[0]

    def cut(self, left: int, top: int, width: int, height: int) -> Picture:
        """A part of it."""
        place = slice(top, top + height), slice(left, left + width)
        return Picture(self.image[place], None if self.labels is None else self.labels[place])


def whole(random: np.random.Generator, picture: Picture, most: int) -> Canvas:
    """The picture as at inference: its longest side 1024. most: of its true objects, chosen at random."""
    width, height = Frame(*picture.size).scaled
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:height, :width] = _resized(picture.image, width, height)
    place = slice(0, -(-height // CELL)), slice(0, -(-width // CELL))
    coverage = _coverage(random, picture, place, most)
    return Canvas(pixels, (height, width), coverage, picture.labels is None)


def part(random: np.random.Generator, picture: Picture) -> Picture:
    """Between 40 and 90 % of each side of a picture."""
    share = random.uniform(0.4, 0.9)
    width, height = (min(side, max(SMALLEST_PART, int(side * share))) for side in picture.size)
    return _part(random, picture, width, height)


def mosaic(random: np.random.Generator, pictures: tuple[Picture, Picture, Picture, Picture], most: int) -> Canvas:
    """Four pictures around a random point; of each a part, larger or smaller than it is, and a third of `most`."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    column, row = (CELL * int(random.integers(75, 182)) for _ in range(2))
    corners = [(0, 0, column, row), (column, 0, SIDE, row), (0, row, column, SIDE), (column, row, SIDE, SIDE)]
    found = []
    for picture, (left, top, right, bottom) in zip(pictures, corners, strict=True):
        shown = _filling(random, picture, right - left, bottom - top)
        pixels[top:bottom, left:right] = _resized(shown.image, right - left, bottom - top)
        place = slice(top // CELL, bottom // CELL), slice(left // CELL, right // CELL)
        found.append(_coverage(random, shown, place, max(1, most // 3)))
    coverage = random.permutation(np.concatenate(found))[:most]
    return Canvas(pixels, (SIDE, SIDE), coverage, all(picture.labels is None for picture in pictures))


def _filling(random: np.random.Generator, picture: Picture, width: int, height: int) -> Picture:
    """A part that fills width x height at 0.4 to 1.6 times its size, more if the picture is small."""
    scale = max(random.uniform(0.4, 1.6), width / picture.size[0], height / picture.size[1])
    return _part(random, picture, max(1, int(width / scale)), max(1, int(height / scale)))


def _part(random: np.random.Generator, picture: Picture, width: int, height: int) -> Picture:
    left = int(random.integers(picture.size[0] - width + 1))
    top = int(random.integers(picture.size[1] - height + 1))
    return picture.cut(left, top, width, height)


def _coverage(
    random: np.random.Generator, picture: Picture, place: tuple[slice, slice], most: int
) -> NDArray[np.uint8]:
    """Of at most `most` objects of a picture that lies at `place` of the grid: uint8 N x 256 x 256. N may be 0."""
    if picture.labels is None:
        return np.zeros((0, LOW_RES_SIDE, LOW_RES_SIDE), np.uint8)
    height, width = (along.stop - along.start for along in place)
    areas = np.bincount(picture.labels.ravel())[1:] * (width * height / picture.labels.size)
    numbers = 1 + random.permutation(np.flatnonzero(areas >= SMALLEST_OBJECT))[:most]
    coverage = np.zeros((len(numbers), LOW_RES_SIDE, LOW_RES_SIDE), np.uint8)
    for number, covered in zip(numbers, coverage, strict=True):
        covered[place] = _resized((picture.labels == number).astype(np.uint8) * COVERED, width, height)
    shown = (coverage > HALF).sum((1, 2)) >= SMALLEST_OBJECT  # what is thin may have no cell of its own
    return np.asarray(coverage[shown])


def _resized(image: Pixels, width: int, height: int) -> Pixels:
    smaller = image.shape[1] > SHRUNK * width
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR))
