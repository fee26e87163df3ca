"""A second, closer look at small objects: the part of the picture around them, encoded as a picture of its own.

The network sees 1024 pixels on the longest side: an object a twentieth as long is a dozen cells of the low-res mask.
A window of half the picture's side shows it twice as large. Windows begin at quarters of the side, so that neighbours
share one, and its embedding is kept like any other. docs/quality.md has what it wins, and where it would lose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from backend.segmentation.engines import Embedding
from backend.segmentation.preprocess import Frame
from backend.segmentation.prompts import Box, Point, Prompt

SMALL = 0.1
"""An object is small whose longest side is below this share of the picture's longest side."""

PARTS = 2
"""A window is so many times shorter than the picture."""

STEPS = 2
"""Windows begin at every such part of a window, or nearly: half of one, a quarter of the picture."""


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


def window_for(extent: Box, prompt: Prompt, frame: Frame) -> Window | None:
    """The window in which an object of this extent is looked at again; None where the whole picture shows it well.

    extent: left, top, right, bottom, in pixels of the original image. A click outside of the window speaks against it.
    """
    longest = max(frame.width, frame.height)
    if max(extent[2] - extent[0], extent[3] - extent[1]) >= SMALL * longest or longest < 2 * PARTS:
        return None
    left, right = _span((extent[0] + extent[2]) / 2, frame.width, longest)
    top, bottom = _span((extent[1] + extent[3]) / 2, frame.height, longest)
    window = Window(left, top, right, bottom)
    return window if all(map(window.holds, prompt.points)) else None


def _span(middle: float, side: int, longest: int) -> tuple[int, int]:
    """Of the windows along one axis, the one whose middle is nearest: its first pixel, and the one behind its last."""
    length = longest // PARTS
    if side <= length:
        return 0, side
    # As many steps as quarters fit, a tenth of one more or less: an odd pixel makes no window of its own.
    steps = max(1, math.ceil((side - length) * STEPS / length - 0.1))
    step = (side - length) / steps
    begin = round(min(max(round((middle - length / 2) / step), 0), steps) * step)
    return begin, begin + length
