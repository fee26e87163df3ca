"""A second, closer look: the part of the picture around an object, encoded as a picture of its own.

The network sees 1024 pixels on the longest side: an object a twentieth as long is a dozen cells of the low-res mask.
A window of half the picture's side shows it twice as large. And two looks at the same thing, averaged, are better than
either. Windows begin at quarters of the side, so that neighbours share one, and its embedding is kept in memory.
docs/quality.md has what it wins, and where it would lose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from backend.segmentation.engines import Embedding, Floats
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE, Frame
from backend.segmentation.prompts import Box, Point, Prompt

LOOKS = ((0.25, 0.5), (0.5, 0.75))
"""An object whose longest side is below the first share of the picture's longest side is shown by a window of the
second. What is larger, the whole picture shows as well."""

STEPS = 4
"""Windows begin at every such part of the picture's longest side, or nearly."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a picture, in whole pixels of the original image; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def frame(self) -> Frame:
        """Of the window as a picture of its own."""
        return Frame(self.right - self.left, self.bottom - self.top)

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    def holds(self, point: Point) -> bool:
        return self.left <= point[0] < self.right and self.top <= point[1] < self.bottom

    def prompt(self, prompt: Prompt) -> Prompt:
        """The same prompt, in pixels of the window."""
        box = prompt.box and (*self._point(prompt.box[:2]), *self._point(prompt.box[2:]))
        return replace(prompt, points=tuple(map(self._point, prompt.points)), box=box)

    def _point(self, point: Point) -> Point:
        return point[0] - self.left, point[1] - self.top


Closer = Callable[[Window], Embedding | None]
"""Gives the embedding of a window of the picture that is asked about; None where it cannot be had."""


def size_in(frame: Frame, extent: Box) -> float:
    """The longest side of an extent in pixels of the original image, as a share of the picture's longest."""
    return max(extent[2] - extent[0], extent[3] - extent[1]) / max(frame.width, frame.height)


def window_for(extent: Box, prompt: Prompt, frame: Frame) -> Window | None:
    """The window in which an object of this extent is looked at again; None where the whole picture shows it well.

    extent: left, top, right, bottom, in pixels of the original image. A click outside of the window speaks against it.
    """
    longest, size = max(frame.width, frame.height), size_in(frame, extent)
    length = next((int(share * longest) for limit, share in LOOKS if size < limit), longest)
    if longest < STEPS or length == longest:
        return None
    left, right = _span((extent[0] + extent[2]) / 2, frame.width, longest, length)
    top, bottom = _span((extent[1] + extent[3]) / 2, frame.height, longest, length)
    window = Window(left, top, right, bottom)
    return window if all(map(window.holds, prompt.points)) else None


def _span(middle: float, side: int, longest: int, length: int) -> tuple[int, int]:
    """Of the windows of a length along one axis, the nearest: its first pixel, and the one behind its last."""
    if side <= length:
        return 0, side
    # As many steps as quarters fit, a tenth of one more or less: an odd pixel makes no window of its own.
    steps = max(1, math.ceil((side - length) * STEPS / longest - 0.1))
    step = (side - length) / steps
    begin = round(min(max(round((middle - length / 2) / step), 0), steps) * step)
    return begin, begin + length


def on_window(low_res: Floats, frame: Frame, window: Window) -> Floats:
    """Logits 256 x 256 of the whole picture, of this frame, as they lie on the low-res grid of a window."""
    across, right = _along(window.left, window.frame.width / window.frame.scaled[0], frame.scaled[0] / frame.width)
    down, below = _along(window.top, window.frame.height / window.frame.scaled[1], frame.scaled[1] / frame.height)
    places = np.array([[across, 0, right], [0, down, below]])
    size = LOW_RES_SIDE, LOW_RES_SIDE
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(low_res, places, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _along(first: int, to_image: float, to_canvas: float) -> tuple[float, float]:
    """A cell of a window's grid times the one plus the other is a cell of the picture's, counted by their middles."""
    factor = to_image * to_canvas
    return factor, first * to_canvas / CELL + 0.5 * factor - 0.5
