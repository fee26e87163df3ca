"""What an annotator asks for: one object, by clicks, a box, or both."""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float]
Box = tuple[float, float, float, float]

NEGATIVE, POSITIVE = 0, 1


@dataclass(frozen=True, slots=True)
class Prompt:
    """One object. Coordinates are pixels of the original image: floats, x right, y down, origin at its corner.

    points: clicks in the order in which they were made.
    labels: POSITIVE (the object) or NEGATIVE (not the object) for each click.
    box: left, top, right, bottom, or None.

    Raises ValueError where nothing is asked, a label is missing or unknown, or a coordinate is not finite.
    """

    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    box: Box | None = None

    def __post_init__(self) -> None:
        if len(self.points) != len(self.labels):
            raise ValueError(f"{len(self.points)} points but {len(self.labels)} labels: each point needs one")
        if not self.points and self.box is None:
            raise ValueError("an empty prompt: give at least one point or a box")
        if unknown := set(self.labels) - {NEGATIVE, POSITIVE}:
            raise ValueError(f"labels {sorted(unknown)} are unknown: use {POSITIVE} for the object, {NEGATIVE} for not")
        numbers = [number for point in self.points for number in point] + list(self.box or ())
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"coordinates must be finite numbers, not {numbers}")
        if self.box and (self.box[0] > self.box[2] or self.box[1] > self.box[3]):
            raise ValueError(f"the box {self.box} is turned round: give left, top, right, bottom")
