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
    """A COCO file: images with id and file_name, annotations with image_id and bbox. Crowds are none of ours. Raises
    FileError."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FileError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(content, dict):
        raise FileError(f"{path} is not COCO's JSON: one object with images and annotations, not a list of results")
    names = {row["id"]: row["file_name"] for row in _rows(path, content, "images", "id", "file_name")}
    rows: dict[Any, list[Row]] = defaultdict(list)
    for row in _rows(path, content, "annotations", "image_id"):
        if row["image_id"] not in names:
            raise FileError(f"{path}: annotation {row.get('id')} is of image {row['image_id']!r}, which is not there")
        if row.get("bbox") and not row.get("iscrowd"):
            rows[row["image_id"]].append(row)
    return DataSet(content, [(str(names[number]), found) for number, found in rows.items()])


def _rows(path: Path, content: Row, name: str, *fields: str) -> list[Row]:
    rows = content.get(name)
    if not isinstance(rows, list):
        raise FileError(f"{path}: {name!r} is missing, or no list; COCO's JSON has images and annotations")
    for place, row in enumerate(rows):
        if not isinstance(row, dict) or not all(isinstance(row.get(field), str | int | float) for field in fields):
            raise FileError(f"{path}: {name}[{place}] has not all of {', '.join(fields)}: {str(row)[:80]}")
    return rows


def annotate(settings: Settings, engine: Engine, images: Path, boxes: DataSet) -> Iterator[Done]:
    """Each picture as it is done; its rows have `segmentation` (polygons), `area`, `bbox` and `iscrowd` then, and
    `score` where they had none.

    Where a picture cannot be read, its rows stay as they are, and so does one whose box cannot be answered.
    """
    for name, rows in boxes.by_image:
        asked, failures = list[tuple[Row, Box]](), list[str]()
        for row in rows:
            try:
                asked.append((row, _box_of(row)))
            except FileError as error:
                failures.append(str(error))
        try:
            masks = masks_in(settings, engine, images / name, [Prompt(box=box) for _, box in asked])
        except FileError as error:
            yield Done(name, 0, str(error))
            continue
        for (row, box), mask in zip(asked, masks, strict=True):
            if _is_inside(box, mask) and mask.pixels.any():
                row.update(_annotation(mask) | {"score": row.get("score", round(mask.score, 4))})
            else:
                failures.append(f"annotation {row.get('id')}: nothing was found in {row['bbox']}")
        lost = f"{images / name}: {'; '.join(failures)}" if failures else None
        yield Done(name, len(rows) - len(failures), lost)


def _is_inside(box: Box, mask: Mask) -> bool:
    """Whether the box shares anything with the picture."""
    left, top, right, bottom = box
    height, width = mask.pixels.shape
    return left < width and top < height and right > 0 and bottom > 0


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
    }
