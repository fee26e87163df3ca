"""Photographs in tar shards: JPEGs one after the other, opened in any order without unpacking.

A folder of shards may grow while a run reads it: whoever asks for the index again sees the new ones.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.learning.masks import DataError

SHARD_BYTES = 15_000_000
"""A shard stays below 16 MB, so that a folder can be handed over in small pieces."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """Where one JPEG lies: its shard, and its bytes in it."""

    shard: Path
    offset: int
    size: int

    def pixels(self) -> NDArray[np.uint8]:
        """RGB uint8 H x W x 3. Raises DataError that names the shard where it cannot be read."""
        try:
            with self.shard.open("rb") as file:
                file.seek(self.offset)
                return np.asarray(Image.open(io.BytesIO(file.read(self.size))).convert("RGB"))
        except OSError as error:
            raise DataError(f"{self.shard}: the photograph at byte {self.offset} cannot be read: {error}") from error


def shards_in(folder: Path) -> list[Path]:
    """The shards of a folder. Raises DataError where there is none."""
    shards = sorted(folder.glob("*.tar"))
    if not shards:
        raise DataError(f"{folder} holds no photographs: put tar files of JPEGs there")
    return shards


def index_of(shards: Iterable[Path]) -> list[Photograph]:
    """All photographs of the shards, in order."""
    found = []
    for shard in shards:
        try:
            with tarfile.open(shard) as tar:
                found += [Photograph(shard, member.offset_data, member.size) for member in tar if member.isfile()]
        except (OSError, tarfile.TarError) as error:
            raise DataError(f"{shard} is not a whole tar file: {error}") from error
    return found


def packed(files: Iterable[Path], folder: Path, shard_bytes: int = SHARD_BYTES) -> list[Path]:
    """Packs image files into shards of at most `shard_bytes` (but at least one file each); returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[Path] = []
    batch: list[Path] = []
    filled = 0
    for file in files:
        size = file.stat().st_size + 1024  # the tar's own header and rounding
        if batch and filled + size > shard_bytes:
            shards.append(_written(batch, folder / f"photos-{len(shards):04d}.tar"))
            batch, filled = [], 0
        batch.append(file)
        filled += size
    if batch:
        shards.append(_written(batch, folder / f"photos-{len(shards):04d}.tar"))
    return shards


def _written(files: list[Path], shard: Path) -> Path:
    part = shard.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        for number, file in enumerate(files):
            tar.add(file, f"{number:06d}{file.suffix.lower()}")
    part.replace(shard)  # a run that reads the folder sees whole shards only
    return shard
