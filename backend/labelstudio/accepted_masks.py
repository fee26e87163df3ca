"""The regions of an annotation -> masks that a person has accepted. Prompts are none: nobody accepts a click.

Brush, polygon, ellipse and bitmask regions are masks. A rectangle is one only where its control says smart="false",
others hold masks there, and nothing of a mask lies on the same picture: everywhere else it is a prompt, or the box
around a mask.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from PIL import Image

from backend.labelstudio import rle, shapes
from backend.labelstudio.interface import Interface
from backend.labelstudio.regions import thing_of

Picture = tuple[str, int | None]
"""Which picture of a task: the name of its <Image>, and in a list of pictures its number."""
Size = tuple[int, int]
Value = Mapping[str, Any]

MOST_PIXELS = 100_000_000
"""Of one mask; who writes an annotation does not decide how much memory is taken."""

log = structlog.get_logger()


class UnreadableRegionError(ValueError):
    """A region that says it is a mask, but is none that can be read."""


@dataclass(frozen=True, slots=True)
class AcceptedMask:
    """size: width and height of the picture as it is shown. window: rows and columns that hold the whole mask.

    pixels: bool, the mask inside its window; at least one is set. label: the first one, or None.
    by_person: drawn or corrected by hand; else what the model gave was accepted as it was.
    """

    size: Size
    window: tuple[slice, slice]
    pixels: NDArray[np.bool_]
    label: str | None
    by_person: bool


def masks_of(result: Sequence[Any], interface: Interface) -> dict[Picture, list[AcceptedMask]]:
    """All masks of an annotation's result, by picture. What cannot be read is left out, with a line in the log.

    Polygons that answered one prompt, a thing in several parts, are one mask (`regions.thing_of`).
    """
    regions = [region for region in result if isinstance(region, Mapping)]
    labels = {region.get("id"): _label(region) for region in regions if region.get("type") == "labels"}
    found: dict[Picture, dict[Any, AcceptedMask]] = {}
    boxes: dict[Picture, dict[Any, AcceptedMask]] = {}
    for number, region in enumerate(regions):
        kind = str(region.get("type")).removesuffix("labels")
        if kind not in READERS or (kind == "rectangle" and not _drawn(region, interface)):
            continue
        try:
            picture, pixels = _picture_of(region, interface), _pixels(kind, region)
        except UnreadableRegionError as error:
            log.warning("A region is left out", region=str(region.get("id"))[:40], why=str(error))
            continue
        if pixels.any():
            label = _label(region) or labels.get(region.get("id"))
            mask = _windowed(pixels, label, _by_person(region))
            ones = (boxes if kind == "rectangle" else found).setdefault(picture, {})
            thing = thing_of(region["id"]) if kind == "polygon" and isinstance(region.get("id"), str) else number
            ones[thing] = _together(ones[thing], mask) if thing in ones else mask
    return {picture: list(ones.values()) for picture, ones in (boxes | found).items()}


def _together(one: AcceptedMask, other: AcceptedMask) -> AcceptedMask:
    """Two parts of one thing."""
    if one.size != other.size:
        return one
    pixels = np.zeros(one.size[::-1], np.bool_)
    pixels[one.window] |= one.pixels
    pixels[other.window] |= other.pixels
    return _windowed(pixels, one.label, one.by_person or other.by_person)


def _windowed(pixels: NDArray[np.bool_], label: str | None, by_person: bool) -> AcceptedMask:
    """A photograph may be large and have many masks: only the part of each that is not empty is kept."""
    rows, columns = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    height, width = pixels.shape
    return AcceptedMask((width, height), window, pixels[window].copy(), label, by_person)


def _drawn(region: Mapping[str, Any], interface: Interface) -> bool:
    """Whether this rectangle's control never makes prompts, nor holds the boxes of masks that were asked for."""
    for control in interface.controls:
        if control.name == region.get("from_name"):
            return not control.smart and not any(control in interface.holders_on(name) for name in control.to_names)
    return False


def _by_person(region: Mapping[str, Any]) -> bool:
    """Label Studio says "manual" of accepted suggestions too; these keep the model's score, what is drawn has none."""
    origin = region.get("origin")
    return origin == "prediction-changed" or (origin != "prediction" and region.get("score") is None)


def _picture_of(region: Mapping[str, Any], interface: Interface) -> Picture:
    said = [region.get(name) for name in ("to_name", "from_name")]
    name = interface.image_of(*(one if isinstance(one, str) else None for one in said))
    if name is None:
        raise UnreadableRegionError(f"to_name {said[0]!r} is no <Image> of the labelling configuration")
    index = region.get("item_index")
    return name, index if isinstance(index, int) and index >= 0 else None


def _label(region: Mapping[str, Any]) -> str | None:
    value = region.get("value")
    names = value.get(str(region.get("type"))) if isinstance(value, Mapping) else None
    return str(names[0]) if isinstance(names, Sequence) and names else None


def _pixels(kind: str, region: Mapping[str, Any]) -> NDArray[np.bool_]:
    value = region.get("value")
    width, height = region.get("original_width"), region.get("original_height")
    if not isinstance(value, Mapping) or not isinstance(width, int) or not isinstance(height, int):
        raise UnreadableRegionError("it has no value, or no original_width and original_height in pixels")
    if width < 1 or height < 1 or width * height > MOST_PIXELS:
        raise UnreadableRegionError(f"{width} x {height} pixels are not a size that is taken")
    try:
        return READERS[kind](value, (width, height))
    except UnreadableRegionError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise UnreadableRegionError(f"its {kind} cannot be read: {error}") from None


def _brush(value: Value, size: Size) -> NDArray[np.bool_]:
    values = value.get("rle") or []
    if not isinstance(values, list):  # a number would ask for as many bytes
        raise UnreadableRegionError(f"its RLE is {str(values)[:40]!r}: it must be a list of numbers")
    return rle.decode(values, *size)


def _polygon(value: Value, size: Size) -> NDArray[np.bool_]:
    corners = value.get("points")
    if value.get("closed") is False or not isinstance(corners, Sequence) or len(corners) < 3:
        raise UnreadableRegionError("a polygon that is not closed, or has fewer than three points, encloses nothing")
    return shapes.polygon([(_finite(x), _finite(y)) for x, y in corners], *size)


def _rectangle(value: Value, size: Size) -> NDArray[np.bool_]:
    return shapes.rectangle(*_numbers(value, "x", "y", "width", "height"), _finite(value.get("rotation") or 0), size)


def _ellipse(value: Value, size: Size) -> NDArray[np.bool_]:
    return shapes.ellipse(*_numbers(value, "x", "y", "radiusX", "radiusY"), _finite(value.get("rotation") or 0), size)


def _bitmask(value: Value, size: Size) -> NDArray[np.bool_]:
    """A PNG of the picture's size as a data address: what is not transparent, or not black where nothing is."""
    head, _, encoded = str(value.get("imageDataURL")).partition(",")
    if head != "data:image/png;base64":
        raise UnreadableRegionError(f"its imageDataURL begins with {head[:40]!r}, not with data:image/png;base64")
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=("PNG",)) as image:
            if image.size != size:
                raise UnreadableRegionError(f"its bitmask is {image.size}, not {size}")
            seen = image.convert("RGBA").getchannel("A") if image.has_transparency_data else image.convert("L")
            return np.asarray(np.asarray(seen) > 0, np.bool_)
    except (OSError, SyntaxError, binascii.Error) as error:
        raise UnreadableRegionError(f"its bitmask is no PNG that can be read: {error}") from None


def _numbers(value: Value, *names: str) -> tuple[float, float, float, float]:
    one, two, three, four = (_finite(value.get(name)) for name in names)
    return one, two, three, four


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e6 < value < 1e6:
        raise UnreadableRegionError(f"{str(value)[:40]!r} is not a number in percent")
    return float(value)


READERS: dict[str, Callable[[Value, Size], NDArray[np.bool_]]] = {
    "brush": _brush,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "ellipse": _ellipse,
    "bitmask": _bitmask,
}
