"""A file in parts below 16 MB, for ways that carry no larger ones, and whole again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from backend.learning.masks import DataError

PART_BYTES = 15_000_000


def split(file: Path, folder: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Writes NAME.000, NAME.001, ... and NAME.parts.json (their number and the whole's SHA-256); returns all paths."""
    folder.mkdir(parents=True, exist_ok=True)
    digest, parts = hashlib.sha256(), list[Path]()
    with file.open("rb") as whole:
        while (piece := whole.read(part_bytes)) or not parts:
            digest.update(piece)
            part = folder / f"{file.name}.{len(parts):03d}"
            part.write_bytes(piece)
            parts.append(part)
    said = folder / f"{file.name}.parts.json"
    said.write_text(json.dumps({"parts": len(parts), "sha256": digest.hexdigest()}))
    return [*parts, said]


def join(folder: Path, name: str, target: Path) -> None:
    """Makes `target` of the parts of `name`. Raises DataError where one is missing or damaged; no half file is left."""
    said = folder / f"{name}.parts.json"
    if not said.is_file():
        raise DataError(f"{said} is not there: it comes with the parts and says how many there are")
    wanted = json.loads(said.read_text())
    digest = hashlib.sha256()
    unfinished = target.with_suffix(".part")
    try:
        with unfinished.open("wb") as whole:
            for number in range(wanted["parts"]):
                part = folder / f"{name}.{number:03d}"
                if not part.is_file():
                    raise DataError(f"{part} is missing: {name} has {wanted['parts']} parts")
                piece = part.read_bytes()
                digest.update(piece)
                whole.write(piece)
        if digest.hexdigest() != wanted["sha256"]:
            raise DataError(f"the parts of {name} in {folder} are damaged: fetch them again")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
