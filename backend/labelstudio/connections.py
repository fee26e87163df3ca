"""What /setup told: where Label Studio is, the token it lent, how the project is labelled.

In files, one per project: every worker and the next start know it. Readable by its owner only, written beside its place
and moved there: nobody reads half a file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

import structlog

FOLDER = "connections"
PROJECT = re.compile(r"\d{1,18}(\.\d{1,18})?")
LONGEST = 4096
LONGEST_CONFIG = 200_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Connection:
    """label_config: empty where it was not told, or is too long to be kept."""

    hostname: str
    token: str = field(repr=False)
    label_config: str = field(default="", repr=False)


def remember(folder: Path, project: str, hostname: str, token: str, label_config: str = "") -> None:
    """Keep what /setup told for a project ("<id>.<time it was made>"). Nothing is written where it is known already.

    What cannot be used or kept is only logged: connecting must not fail for it.
    """
    if not hostname.startswith(("http://", "https://")) or len(hostname) + len(token) > LONGEST:
        log.info(
            "Label Studio told no address of its own that can be used", project=project[:40], hostname=hostname[:200]
        )
        return
    kept = label_config if len(label_config) <= LONGEST_CONFIG else ""
    told = Connection(hostname.rstrip("/"), token, kept)
    place = _place(folder, project)
    if _read(place) == told:
        return
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=place.parent, suffix=".part")  # made with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(told), file)
            Path(beside).replace(place)
        except OSError:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.warning(
            "What Label Studio told cannot be kept: make MODEL_DIR writable", folder=str(folder), error=str(error)
        )


def recall(folder: Path, project: str) -> Connection | None:
    """What /setup told for this project; for a bare id the newest project of that id. None where nothing is known."""
    if PROJECT.fullmatch(project) and "." not in project:
        known = [*(folder / FOLDER).glob(f"{project}.json"), *(folder / FOLDER).glob(f"{project}.*.json")]
        return _read(max(known, key=_age)) if known else None
    return _read(_place(folder, project))


def connected_projects(folder: Path) -> list[str]:
    """The projects of which something was told, by full name or bare id."""
    return sorted(file.stem for file in (folder / FOLDER).glob("*.json") if PROJECT.fullmatch(file.stem))


def disconnect(folder: Path, project: str) -> None:
    """Nothing is known of this project any more: neither its token nor how it is labelled."""
    _place(folder, project).unlink(missing_ok=True)


def _place(folder: Path, project: str) -> Path:
    name = project if PROJECT.fullmatch(project) else hashlib.sha256(project.encode()).hexdigest()
    return folder / FOLDER / f"{name}.json"


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _read(place: Path) -> Connection | None:
    try:
        told = json.loads(place.read_text("utf-8"))
        return Connection(str(told["hostname"]), str(told["token"]), str(told.get("label_config", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
