"""Outlines in percent of a picture -> masks: a pixel belongs where its centre lies inside.

OpenCV and Pillow fill the outline's own pixels too, half a pixel too much on every side: for a small cell that is a
tenth of its area.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CORNERS_OF_AN_ELLIPSE = 180
"""The polygon that stands for an ellipse lacks 0.02 % of its area."""

Corner = tuple[float, float]


def polygon(corners: Sequence[Corner], width: int, height: int) -> NDArray[np.bool_]:
    """Corners in percent (x, y) -> bool height x width. Even-odd: what an outline encloses twice lies outside."""
    crossed = np.zeros((height, width + 1), np.uint8)
    placed = np.asarray(corners, np.float64) * (width, height) / 100 - 0.5  # pixel centres lie on whole numbers
    for (x, y), (next_x, next_y) in zip(placed, np.roll(placed, -1, axis=0), strict=True):
        first, last = (max(0, min(height, math.ceil(end))) for end in sorted((y, next_y)))
        if first == last:
            continue
        rows = np.arange(first, last)
        columns = np.ceil(x + (rows - y) * (next_x - x) / (next_y - y))
        crossed[rows, columns.clip(0, width).astype(np.intp)] ^= 1
    return np.asarray(np.bitwise_xor.accumulate(crossed, axis=1)[:, :width], np.bool_)


def rectangle(
    x: float, y: float, across: float, down: float, rotation: float, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """A rectangle in percent, turned clockwise by `rotation` degrees about its corner x, y -> bool height x width.

    size: the picture's width and height in pixels: it is turned there, where both axes have one unit.
    """
    corners = [(0.0, 0.0), (across, 0.0), (across, down), (0.0, down)]
    return polygon(_turned(corners, (x, y), rotation, size), *size)


def ellipse(
    x: float, y: float, radius_x: float, radius_y: float, rotation: float, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """An ellipse in percent, turned clockwise by `rotation` degrees about its centre x, y -> bool height x width."""
    angles = np.linspace(0, 2 * math.pi, CORNERS_OF_AN_ELLIPSE, endpoint=False)
    corners = [(radius_x * math.cos(angle), radius_y * math.sin(angle)) for angle in angles]
    return polygon(_turned(corners, (x, y), rotation, size), *size)


def _turned(corners: Sequence[Corner], about: Corner, rotation: float, size: tuple[int, int]) -> list[Corner]:
    """Corners in percent relative to `about`, turned, as places in percent."""
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    aspect = size[0] / size[1]
    return [(about[0] + x * cos - y * sin / aspect, about[1] + x * sin * aspect + y * cos) for x, y in corners]
