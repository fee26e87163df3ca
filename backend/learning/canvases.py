"""What a student looks at: photographs and pictures with true masks, made endless by augmentation.

A canvas is 1024 x 1024 pixels, as at inference: one picture with zeros right and below it, or a mosaic of four
pictures that shows more objects, closer together and at other sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from backend.segmentation.preprocess import LOW_RES_SIDE, SIDE, Frame

CELL = SIDE // LOW_RES_SIDE
SMALLEST_OBJECT = 12
"""Objects below so many pixels of the low-res grid are not prompted for."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """One thing to look at.

    pixels: RGB uint8 1024 x 1024 x 3. extent: height and width of the picture on it.
    labels: int16 256 x 256, the true objects 1..n; 0 is not an object; all 0 where nobody drew masks.
    """

    pixels: NDArray[np.uint8]
    extent: tuple[int, int]
    labels: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture before it lies on a canvas, with its label map (None for a photograph)."""

    image: Image.Image
    labels: Image.Image | None = None


def whole(picture: Picture) -> Canvas:
    """The picture as at inference: its longest side 1024."""
    width, height = Frame(*picture.image.size).scaled
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:height, :width] = np.asarray(picture.image.resize((width, height), Image.Resampling.BILINEAR))
    labels = np.zeros((LOW_RES_SIDE, LOW_RES_SIDE), np.int16)
    if picture.labels is not None:
        seen = labels[: -(-height // CELL), : -(-width // CELL)]
        seen[:] = _resized(picture.labels, seen.shape[1], seen.shape[0])
    return Canvas(pixels, (height, width), labels)


def mosaic(random: np.random.Generator, pictures: tuple[Picture, Picture, Picture, Picture]) -> Canvas:
    """Four pictures around a random point; of each a part, larger or smaller than it is."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    labels = np.zeros((LOW_RES_SIDE, LOW_RES_SIDE), np.int16)
    column, row = (CELL * int(random.integers(75, 182)) for _ in range(2))
    corners = [(0, 0, column, row), (column, 0, SIDE, row), (0, row, column, SIDE), (column, row, SIDE, SIDE)]
    for picture, (left, top, right, bottom) in zip(pictures, corners, strict=True):
        box = _part(random, picture.image, right - left, bottom - top)
        pixels[top:bottom, left:right] = np.asarray(
            picture.image.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=box)
        )
        if picture.labels is not None:
            place = slice(top // CELL, bottom // CELL), slice(left // CELL, right // CELL)
            shown = _resized(picture.labels, (right - left) // CELL, (bottom - top) // CELL, box)
            labels[place] = np.where(shown > 0, shown + labels.max(), 0)
    return Canvas(pixels, (SIDE, SIDE), labels)


def varied(random: np.random.Generator, picture: Picture) -> Picture:
    """The picture as another camera on another day might have seen it: mirrored, brighter, paler, grey."""
    image, labels = picture.image, picture.labels
    if random.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        labels = labels and labels.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if random.random() < 0.4:
        image = ImageEnhance.Brightness(image).enhance(random.uniform(0.7, 1.3))
    if random.random() < 0.4:
        image = ImageEnhance.Color(image).enhance(random.uniform(0.0, 1.5))
    if random.random() < 0.2:
        image = ImageEnhance.Contrast(image).enhance(random.uniform(0.7, 1.3))
    return Picture(image, labels)


def objects_on(labels: NDArray[np.int16], random: np.random.Generator, most: int) -> NDArray[np.bool_]:
    """At most `most` of a canvas' true objects, chosen at random: bool N x 256 x 256. N may be 0."""
    numbers, areas = np.unique(labels, return_counts=True)
    numbers = numbers[(numbers > 0) & (areas >= SMALLEST_OBJECT)]
    return np.asarray(labels[None] == random.permutation(numbers)[:most, None, None], np.bool_)


def _part(random: np.random.Generator, image: Image.Image, width: int, height: int) -> tuple[int, int, int, int]:
    """The box of a part of the image that fills width x height at 0.4 to 1.6 times its size, more if it is small."""
    scale = max(random.uniform(0.4, 1.6), width / image.width, height / image.height)
    seen_width, seen_height = max(1, int(width / scale)), max(1, int(height / scale))
    left = int(random.integers(image.width - seen_width + 1))
    top = int(random.integers(image.height - seen_height + 1))
    return left, top, left + seen_width, top + seen_height


def _resized(
    labels: Image.Image, width: int, height: int, box: tuple[int, int, int, int] | None = None
) -> NDArray[np.int16]:
    """The label map, or a part of it, at another size: each cell is what lies under its centre."""
    left, top, right, bottom = box or (0, 0, labels.width, labels.height)
    columns = left + ((np.arange(width) + 0.5) * (right - left) / width).astype(np.intp)
    rows = top + ((np.arange(height) + 0.5) * (bottom - top) / height).astype(np.intp)
    return np.asarray(labels)[np.ix_(rows, columns)].astype(np.int16)
