"""From an image to the network's canvas and back: SAM's preprocessing (segment_anything/utils/transforms.py).

The longest side becomes 1024, bilinear and antialiased on uint8; pixels are normalised; the rest of the
1024x1024 canvas, right and below, is zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.segmentation.prompts import Point

SIDE = 1024
LOW_RES_SIDE = 256
CELL = SIDE // LOW_RES_SIDE
"""Canvas pixels to a cell of the low-res mask."""
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
VERSION = "longest1024-pil-dct1280-places"
"""Names this preprocessing, and how embeddings lie in memory, in cache keys: one made otherwise is not the same."""


@dataclass(frozen=True, slots=True)
class Frame:
    """How an image of `width` x `height` pixels lies on the canvas: at its top left corner, scaled."""

    width: int
    height: int

    @classmethod
    def of(cls, pixels: NDArray[np.uint8]) -> Frame:
        """The frame of an image of which these are all pixels, H x W x 3."""
        return cls(pixels.shape[1], pixels.shape[0])

    @property
    def scale(self) -> float:
        return SIDE / max(self.width, self.height)

    @property
    def scaled(self) -> tuple[int, int]:
        """Width and height on the canvas, in whole pixels, at least 1."""
        return max(1, int(self.width * self.scale + 0.5)), max(1, int(self.height * self.scale + 0.5))

    def to_canvas(self, point: Point) -> Point:
        """A point of the image, in canvas coordinates. Nothing is rounded."""
        width, height = self.scaled
        return point[0] * width / self.width, point[1] * height / self.height


def canvas_of(pixels: NDArray[np.uint8], frame: Frame) -> NDArray[np.float32]:
    """RGB uint8 H x W x 3 -> the encoder's input, float32 1 x 3 x 1024 x 1024.

    frame: of the image; `pixels` may be fewer than it says, where the image was decoded smaller.
    """
    width, height = frame.scaled
    if (height, width) != pixels.shape[:2]:
        pixels = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
    canvas = np.zeros((1, 3, SIDE, SIDE), np.float32)
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):  # one by one: no copies of the whole
        plane = canvas[0, channel, :height, :width]
        np.subtract(pixels[..., channel], mean, out=plane)
        plane /= std
    return canvas


def mask_at_full_size(low_res: NDArray[np.float32], frame: Frame) -> NDArray[np.bool_]:
    """Low-res logits 256 x 256 -> bool height x width: bilinear to the canvas, cropped, bilinear to the image, above 0.

    The two steps are SAM's own (`Sam.postprocess_masks`); OpenCV's linear resize is torch's bilinear without
    aligned corners. Only the window that holds the mask is computed: nothing outside it can be above 0.
    """
    mask = np.zeros((frame.height, frame.width), np.bool_)
    width, height = frame.scaled
    rows = _window(low_res.max(axis=1) > 0, height, frame.height)
    columns = _window(low_res.max(axis=0) > 0, width, frame.width)
    if rows is None or columns is None:
        return mask
    cells = low_res[rows.cells, columns.cells]
    canvas = cv2.resize(cells, (CELL * cells.shape[1], CELL * cells.shape[0]), interpolation=cv2.INTER_LINEAR)
    canvas = canvas[rows.canvas, columns.canvas]
    size = columns.image.stop - columns.image.start, rows.image.stop - rows.image.start
    mask[rows.image, columns.image] = cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR) > 0
    return mask


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of one axis that holds a mask: in low-res cells, on the canvas made of those cells, in the image."""

    cells: slice
    canvas: slice
    image: slice


def _window(occupied: NDArray[np.bool_], scaled: int, side: int) -> _Window | None:
    """The smallest window of an axis whose pixels come out as if the whole axis had been resized, or None.

    occupied: 256 cells. scaled, side: the axis on the canvas and in the image, in pixels. A window resizes exactly
    where it begins and ends on whole pixels of both: at multiples of `side / gcd` and `scaled / gcd`.
    """
    held = np.flatnonzero(occupied[: -(-scaled // CELL)])
    if not len(held):
        return None
    common = math.gcd(scaled, side)
    step, image_step = scaled // common, side // common
    # A value reaches one cell further by the first resize, one canvas pixel by the second; one more for it to lean on,
    # since a resize repeats the edge of what it is given.
    first = max(0, (int(held[0]) - 1) * CELL - 2) // step
    last = min(common, -(-((int(held[-1]) + 2) * CELL + 2) // step))
    begin, end = first * step, last * step
    cells = slice(max(0, begin // CELL - 1), min(LOW_RES_SIDE, -(-end // CELL) + 1))
    offset = cells.start * CELL
    return _Window(cells, slice(begin - offset, end - offset), slice(first * image_step, last * image_step))
