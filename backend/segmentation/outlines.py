"""A mask -> polygons around it, in pixels of the image (x right, y down; a pixel's corners are whole numbers)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

import cv2
import numpy as np
import shapely
from contourpy import FillType, contour_generator
from shapely.geometry import LineString, Point, Polygon

from backend.segmentation.extents import Corner, Mask, box_of

COARSENESS = 0.0075
"""How far an outline may leave the mask's edge, as a share of the square root of the mask's area: a larger thing gets
longer strokes, as from a person's hand, not more corners."""
THIN = 0.07
"""But by no more than this share of how thick the mask is, two areas by its outline's length (of a disc the radius)."""
FINEST = 0.75
"""And it may always leave it so far, in pixels: less draws the steps of the pixels."""
SMALLEST = 0.005
"""Parts below this share of the mask's area are left out, and holes are filled, the smallest first, up to it in all."""
MOST_HOLES = 200
"""The largest holes of a part."""
MOST_CORNERS = 400
"""Of one outline, and eight more for each hole: the page gets slow with many, and nobody corrects so many. Coarser
strokes make fewer."""
COARSEST = 4.0
"""But so many times as coarse at most: what has more corners then is made of them."""
SMALL = 256
"""A mask whose longest side is shorter, in pixels, is enlarged: the corners of outlines are cut by half a pixel."""
MOST_CELLS = 8_000_000
"""At so many pixels an outline is drawn at most: each takes twelve bytes."""
FULL = 255
"""A pixel that is covered wholly."""

Ring = Sequence[tuple[float, ...]]
"""Corners of a closed line in shapely's way: the first one comes again at the end."""


def polygons_of(mask: Mask, clicks: Sequence[Corner] = ()) -> list[list[Corner]]:
    """The outlines of a mask (bool height x width), the largest part first; each corner once, the end not repeated.

    clicks: places that somebody means: the part or the hole that one lies in stays, however small. A hole is reached
    from the outline by a line that goes there and back: a polygon of Label Studio has no holes.
    """
    area = np.count_nonzero(mask)
    coarseness = COARSENESS * math.sqrt(area)
    parts = sorted(_parts(mask, coarseness), key=lambda part: -part.area)
    thickness = 2 * area / max(1.0, sum(part.length for part in parts))
    coarseness = max(FINEST, min(coarseness, THIN * thickness))
    meant = [Point(place) for place in clicks]
    counted = [part for n, part in enumerate(parts) if not n or part.area >= SMALLEST * area or _holds(part, meant)]
    return [_keyholed(_simple(_filled(part, SMALLEST * area, meant), coarseness)) for part in counted]


def _parts(mask: Mask, coarseness: float) -> list[Polygon]:
    """The parts of a mask with their holes, along the edges of its pixels.

    A large mask is shrunk first, to shares of squares of pixels that are much smaller than what its outline may leave
    its edge by.
    """
    if not mask.any():
        return []
    left, top, right, bottom = (int(side) for side in box_of(mask))
    inside = mask[top:bottom, left:right].view(np.uint8) * np.uint8(FULL)
    size = np.array([right - left, bottom - top])
    scale = max(coarseness / 4, math.sqrt(size.prod() / MOST_CELLS))
    enlarged = -(-SMALL // size.max())
    cells = size * enlarged if enlarged > 1 else np.ceil(size / max(1.0, scale)).astype(np.intp)
    interpolation = cv2.INTER_NEAREST if enlarged > 1 else cv2.INTER_AREA
    share = np.pad(cv2.resize(inside, cells.tolist(), interpolation=interpolation), 1)
    filled = contour_generator(z=share, fill_type=FillType.OuterOffset).filled(FULL / 2, 2 * FULL)
    parts = []
    for corners, ends in zip(*filled, strict=True):
        placed = (corners - 0.5) * size / cells + (left, top)
        outer, *holes = (placed[begin:end] for begin, end in pairwise(ends))
        parts.append(Polygon(outer, holes))
    return parts


def _holds(part: Polygon, places: Sequence[Point]) -> bool:
    return any(part.contains(place) for place in places)


def _filled(part: Polygon, most: float, meant: Sequence[Point]) -> Polygon:
    holes = sorted((Polygon(hole) for hole in part.interiors), key=lambda hole: hole.area)
    areas = np.cumsum([hole.area for hole in holes])
    few = len(holes) - MOST_HOLES
    kept = [hole for n, hole in enumerate(holes) if _holds(hole, meant) or (areas[n] > most and n >= few)]
    return Polygon(part.exterior, [hole.exterior for hole in kept])


def _simple(part: Polygon, coarseness: float) -> Polygon:
    """With fewer corners (Douglas and Peucker, 1973), and no edges that cross."""
    most, coarsest = MOST_CORNERS + 8 * len(part.interiors), COARSEST * coarseness
    simple = shapely.simplify(part, coarseness)
    while shapely.get_num_coordinates(simple) > most and coarseness < coarsest:
        coarseness *= 1.5
        simple = shapely.simplify(part, coarseness)
    return simple


def _keyholed(part: Polygon) -> list[Corner]:
    """One closed line around a part and around its holes."""
    ring: Ring = list(part.exterior.coords)
    holes = list(part.interiors)
    while holes:
        line = LineString(ring)
        # The nearest one first: no other hole can lie between.
        hole = min(holes, key=line.distance)
        holes.remove(hole)
        here, there = shapely.shortest_line(line, hole).coords
        ring = [*_begun_at(ring, here), *_begun_at(list(hole.coords), there), here]
    return [(x, y) for (x, y), _ in groupby(ring)][:-1]


def _begun_at(ring: Ring, corner: tuple[float, ...]) -> Ring:
    """A closed ring that begins and ends at a place on it."""
    along = LineString(ring).project(Point(corner))
    lengths = np.hypot(*np.diff(ring, axis=0).T).cumsum()
    after = int(np.searchsorted(lengths, along)) + 1
    return [corner, *ring[after:-1], *ring[:after], corner]
