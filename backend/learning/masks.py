"""Pictures with true object masks on disk: one folder per source.

A source holds images/, masks/ (PNG label maps, 0 is background) and index.json, a list of
{image, mask, width, height, objects: [{id, bbox, area}], split}. kinds.json beside the sources says which are
`object` sources (everyday photographs, whole objects) and which `domain` sources (narrow technical fields).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.labelstudio.pixels import rgb_of

OBJECT, DOMAIN = "object", "domain"


class DataError(Exception):
    """Pictures or masks that are not there, or not as they should be. The message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture: its file, its label map's file, and the numbers of its objects in the label map."""

    source: str
    image: Path
    mask: Path
    objects: tuple[int, ...]

    def pixels(self) -> NDArray[np.uint8]:
        """RGB uint8 H x W x 3. Raises DataError where the file cannot be read."""
        with _told(self.image), Image.open(self.image) as image:
            return np.asarray(rgb_of(image))

    def labels(self) -> NDArray[np.int32]:
        """The label map, H x W. Raises DataError where it cannot be read, has colours, or not its picture's size."""
        with _told(self.image), Image.open(self.image) as image:
            size = image.size
        with _told(self.mask), Image.open(self.mask) as image:
            if image.size != size or len(image.getbands()) != 1:
                raise DataError(
                    f"{self.mask} is {image.mode}, {image.size[0]} x {image.size[1]}: a label map has one channel and "
                    f"the size of its picture, which is {size[0]} x {size[1]}"
                )
            return np.asarray(image).astype(np.int32)


@contextmanager
def _told(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, Image.DecompressionBombError) as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else error
        raise DataError(f"{file} cannot be read: {why}") from None


def source_folders(data: Path) -> list[Path]:
    """The sources under `data`, or `data` itself where it is one. Raises DataError where there is none."""
    if (data / "index.json").is_file():
        return [data]
    folders = sorted(path.parent for path in data.glob("*/index.json"))
    if not folders:
        raise DataError(f"{data} holds no source: a source is a folder with images/, masks/ and index.json")
    return folders


def samples_of(folder: Path, split: str | None = None) -> list[Sample]:
    """The pictures of one source, in the order of its index; only those of `split` where one is named."""
    index = folder / "index.json"
    try:
        rows = json.loads(index.read_text())
        return [_sample(folder, row) for row in rows if split is None or row.get("split") == split]
    except FileNotFoundError:
        raise DataError(f"{folder} is no source: a source is a folder with images/, masks/ and index.json") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{index} cannot be used: {type(error).__name__}: {error}") from error


def kinds_of(data: Path) -> dict[str, str]:
    """Each source's kind, from kinds.json; a source that it does not name is an `object` source."""
    file = data / "kinds.json"
    kinds: dict[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    return kinds


def spread(objects: tuple[int, ...], most: int) -> tuple[int, ...]:
    """At most `most` of the objects, spread evenly over the list."""
    if len(objects) <= most:
        return objects
    return tuple(objects[place * len(objects) // most] for place in range(most))


def _sample(folder: Path, row: dict[str, Any]) -> Sample:
    return Sample(
        folder.name,
        _within(folder, "images", row["image"]),
        _within(folder, "masks", row["mask"]),
        tuple(int(one["id"]) for one in row["objects"]),
    )


def _within(folder: Path, usual: str, name: str) -> Path:
    path = folder / name if "/" in name else folder / usual / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{name!r} leads out of {folder}")
    return path
