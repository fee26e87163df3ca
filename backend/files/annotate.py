"""The boxes of a COCO file -> the same file with a mask for each."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.files.picture_file import FileError, masks_in
from backend.segmentation.engines import Engine
from backend.segmentation.extents import box_of
from backend.segmentation.outlines import polygons_of
from backend.segmentation.predictor import Mask
from backend.segmentation.prompts import Box, Prompt
from backend.settings import Settings

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """A picture that is done: how many of its boxes got masks, and what could not be."""

    file: str
    masks: int
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """content: the file, whose annotations get their masks in place. by_image: those with boxes, by their picture."""

    content: Row
    by_image: list[tuple[str, list[Row]]]


def read_boxes(path: Path) -> DataSet:
    """A COCO file: images with id and file_name, annotations with image_id and bbox. Raises FileError."""
    try:
        content = json.loads(path.read_bytes())
        names = {image["id"]: str(image["file_name"]) for image in content["images"]}
        rows: dict[Any, list[Row]] = defaultdict(list)
        for row in content["annotations"]:
            if row["image_id"] not in names:
                raise FileError(
                    f"{path}: annotation {row.get('id')} is of image {row['image_id']!r}, which is not there"
                )
            if row.get("bbox"):
                rows[row["image_id"]].append(row)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise FileError(f"{path} cannot be read as COCO's JSON: {error}") from None
    except KeyError as error:
        raise FileError(f"{path}: {error} is missing; COCO's JSON has images and annotations") from None
    return DataSet(content, [(names[number], found) for number, found in rows.items()])


def annotate(settings: Settings, engine: Engine, images: Path, boxes: DataSet) -> Iterator[Done]:
    """Each picture as it is done; its rows have `segmentation` (polygons), `area`, `bbox` and `score` then.

    Where a picture cannot be read, or a box not be answered, its rows stay as they are.
    """
    for name, rows in boxes.by_image:
        try:
            prompts = [Prompt(box=_box_of(row)) for row in rows]
            masks = masks_in(settings, engine, images / name, prompts)
        except FileError as error:
            yield Done(name, 0, str(error))
            continue
        found = [(row, mask) for row, mask in zip(rows, masks, strict=True) if mask.pixels.any()]
        for row, mask in found:
            row.update(_annotation(mask))
        lost = len(rows) - len(found)
        yield Done(name, len(found), f"{images / name}: the model found nothing in {lost} boxes" if lost else None)


def _box_of(row: Mapping[str, Any]) -> Box:
    """From left, top, width and height. Raises FileError."""
    try:
        left, top, width, height = (float(number) for number in row["bbox"])
        if not (width > 0 and height > 0 and np.isfinite([left, top, width, height]).all()):
            raise ValueError("width and height must be above 0")
    except (ValueError, TypeError) as error:
        raise FileError(f"annotation {row.get('id')}: its bbox {row['bbox']!r} is no box ({error})") from None
    return left, top, left + width, top + height


def _annotation(mask: Mask) -> Row:
    left, top, right, bottom = (float(side) for side in box_of(mask.pixels))
    return {
        "segmentation": [
            [round(number, 2) for corner in ring for number in corner] for ring in polygons_of(mask.pixels)
        ],
        "area": int(np.count_nonzero(mask.pixels)),
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": 0,
        "score": round(mask.score, 4),
    }
