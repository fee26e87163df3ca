"""A mask -> the value of a region, for each kind of region that holds masks. Coordinates are in percent of the picture.

What Label Studio 1.23's page writes itself, so that it can be edited there and exported.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.labelstudio import rle
from backend.segmentation.extents import box_of, ellipse_of

Mask = NDArray[np.bool_]
Value = dict[str, Any]


def values_of(kind: str, mask: Mask, clicks: Sequence[tuple[float, float]] = ()) -> list[Value]:
    """kind: "brush", "bitmask", "polygon", "ellipse" or "rectangle". mask: bool height x width of the picture, and not
    empty. clicks: places in percent that somebody means (`polygons_of`).

    One value; of a polygon one for each part of the mask, the largest first.
    """
    return _polygons(mask, clicks) if kind == "polygon" else [_VALUES[kind](mask)]


def _brush(mask: Mask) -> Value:
    return {"format": "rle", "rle": rle.encode(mask)}


def _bitmask(mask: Mask) -> Value:
    """A PNG of the picture's size: white where the mask is, and else transparent, which is what the page looks at."""
    written = io.BytesIO()
    Image.fromarray(mask).save(written, "PNG", transparency=0)
    return {"imageDataURL": f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"}


def _polygons(mask: Mask, clicks: Sequence[tuple[float, float]]) -> list[Value]:
    from backend.segmentation.outlines import polygons_of  # shapely takes 6 MiB: where polygons are wanted only

    height, width = mask.shape
    outlines = polygons_of(mask, [(x * width / 100, y * height / 100) for x, y in clicks])
    return [{"points": [[x * 100 / width, y * 100 / height] for x, y in one], "closed": True} for one in outlines]


def _ellipse(mask: Mask) -> Value:
    height, width = mask.shape
    ellipse = ellipse_of(mask)
    (x, y), (along, across) = ellipse.centre, ellipse.radii
    return {
        "x": x * 100 / width,
        "y": y * 100 / height,
        "radiusX": along * 100 / width,
        "radiusY": across * 100 / height,
        "rotation": ellipse.rotation,
    }


def _rectangle(mask: Mask) -> Value:
    height, width = mask.shape
    left, top, right, bottom = box_of(mask)
    return {
        "x": left * 100 / width,
        "y": top * 100 / height,
        "width": (right - left) * 100 / width,
        "height": (bottom - top) * 100 / height,
        "rotation": 0,
    }


_VALUES: dict[str, Callable[[Mask], Value]] = {
    "brush": _brush,
    "bitmask": _bitmask,
    "ellipse": _ellipse,
    "rectangle": _rectangle,
}
