"""From an image to the network's canvas: SAM's preprocessing (segment_anything/utils/transforms.py).

The longest side becomes 1024, bilinear and antialiased on uint8; pixels are normalised; the rest of the
1024x1024 canvas, right and below, is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

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
VERSION = "longest1024-pil-dct1280-places-2"
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
