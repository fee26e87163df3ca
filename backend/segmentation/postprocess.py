"""From a low-res mask to the image's size, as `Sam.postprocess_masks` of segment_anything/modeling/sam.py does it.

Two bilinear steps, to the canvas and from there to the image; OpenCV's linear resize is torch's bilinear without
aligned corners. Where the image is larger than the canvas, only pixels at the mask's edge are computed: among four
canvas pixels inside all is inside. An image of 12 megapixels would need 48 MB of logits otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.segmentation.preprocess import CELL, LOW_RES_SIDE, SIDE, Frame
from backend.segmentation.prompts import Box


def mask_at_full_size(low_res: NDArray[np.float32], frame: Frame) -> NDArray[np.bool_]:
    """Low-res logits 256 x 256 -> bool height x width of the image: where they are above 0."""
    width, height = frame.scaled
    if max(frame.width, frame.height) <= SIDE:
        canvas = cv2.resize(low_res, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)[:height, :width]
        return cv2.resize(canvas, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR) > 0
    mask = np.zeros((frame.height, frame.width), np.bool_)
    rows = _axis(low_res.max(axis=1) > 0, height, frame.height)
    columns = _axis(low_res.max(axis=0) > 0, width, frame.width)
    if rows is not None and columns is not None:
        _fill(mask, low_res[rows.cells, columns.cells], rows, columns)
    return mask


def extent_of(low_res: NDArray[np.float32], frame: Frame) -> Box | None:
    """Left, top, right, bottom of what is above 0, in pixels of the image, to a cell; None where nothing is."""
    width, height = (-(-side // CELL) for side in frame.scaled)
    inside = low_res[:height, :width] > 0
    columns, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    if not len(columns):
        return None
    cell = CELL / frame.scale
    return (
        float(columns[0] * cell),
        float(rows[0] * cell),
        float((columns[-1] + 1) * cell),
        float((rows[-1] + 1) * cell),
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis of the image lies between canvas pixels, around a mask.

    cells: the low-res cells that make a window of the canvas, of `length` pixels. Image pixels from edges[i] to
    edges[i + 1] lie between the window's pixels i and i + 1; share: how much of the second one each image pixel gets.
    """

    cells: slice
    length: int
    edges: NDArray[np.intp]
    share: NDArray[np.float32]


def _axis(occupied: NDArray[np.bool_], scaled: int, side: int) -> _Axis | None:
    """occupied: 256 cells, where there is a mask. scaled, side: the axis on the canvas and in the image, in pixels."""
    held = np.flatnonzero(occupied[: -(-scaled // CELL)])
    if not len(held):
        return None
    # A value reaches one cell further; one more for it to lean on, since a resize repeats the edge of what it is given.
    cells = slice(max(0, int(held[0]) - 2), min(LOW_RES_SIDE, int(held[-1]) + 3))
    begin, end = CELL * cells.start, min(CELL * cells.stop, scaled)
    at = ((np.arange(side) + 0.5) * (scaled / side) - 0.5).astype(np.float32).clip(0, scaled - 1)
    first = at.astype(np.intp)
    edges = np.searchsorted(first, np.arange(begin, end + (end == scaled)))  # behind the last pixel comes itself again
    return _Axis(cells, end - begin, edges, (at - first).astype(np.float32))


def _fill(mask: NDArray[np.bool_], cells: NDArray[np.float32], rows: _Axis, columns: _Axis) -> None:
    size = CELL * cells.shape[1], CELL * cells.shape[0]
    canvas = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)[: rows.length, : columns.length]
    canvas = cv2.copyMakeBorder(canvas, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
    heights, widths = np.diff(rows.edges), np.diff(columns.edges)
    inside = canvas[: len(heights) + 1, : len(widths) + 1] > 0
    both, either = inside[:-1] & inside[1:], inside[:-1] | inside[1:]
    whole, some = both[:, :-1] & both[:, 1:], either[:, :-1] | either[:, 1:]
    window = slice(rows.edges[0], rows.edges[-1]), slice(columns.edges[0], columns.edges[-1])
    of_row, of_column = np.arange(len(heights)).repeat(heights), np.arange(len(widths)).repeat(widths)
    mask[window] = whole.take(of_column, axis=1)[of_row]
    i, j = np.divmod(np.flatnonzero(some ^ whole), len(widths))
    number = heights[i] * widths[j]
    square = np.repeat(np.arange(len(i)), number)  # of each image pixel at the edge: which four canvas pixels
    nth = np.arange(len(square)) - (np.cumsum(number) - number)[square]
    i, j, wide = i[square], j[square], widths[j][square]
    y, x = rows.edges[i] + nth // wide, columns.edges[j] + nth % wide
    right, down = columns.share[x], rows.share[y]
    above = canvas[i, j] * (1 - right) + canvas[i, j + 1] * right
    below = canvas[i + 1, j] * (1 - right) + canvas[i + 1, j + 1] * right
    mask[y, x] = above * (1 - down) + below * down > 0
