"""What finds objects of a project's kinds unasked, where a job found it good enough."""

from __future__ import annotations

import re
import sqlite3
from functools import lru_cache
from pathlib import Path

import structlog

from backend.accepted.annotations import PROJECT, full_name
from backend.accepted.versions import Version, proposer_file
from backend.segmentation.checkpoints import said_in
from backend.segmentation.proposals import Proposer
from backend.segmentation.proposer_files import TOLD, VERSION, read_proposer
from backend.segmentation.weights import WeightsError

KEPT = 16
OF_A_VERSION = re.compile(r"-p\d+-v\d+$")
"""How the names of versions end, and those of bases do not."""

log = structlog.stdlib.get_logger("edgesam.proposals")


def proposer_for(folder: Path, project: str | None) -> tuple[str, Proposer] | None:
    """This project's, and the version that it was judged with: others answer its clicks with other masks.

    project: "<id>.<time it was made>", or its id alone. A new one counts from the next request on.
    """
    if project is None or not PROJECT.fullmatch(project):
        return None
    try:
        file = proposer_file(folder, project if "." in project else full_name(folder, project))
        changed = file.stat()
    except (OSError, sqlite3.Error):
        return None
    return _read(file, changed.st_mtime_ns, changed.st_ino)


def proposes(folder: Path, project: str, answering: Version | None, base: str | None) -> str | None:
    """How good what a project proposes was found, for people; None where nothing is proposed: there is nothing good
    enough, or what answers is not what was judged. answering: None is the base, the first eight digits of whose hash
    are `base`, where they are known."""
    try:
        said = said_in(proposer_file(folder, project))
    except WeightsError:
        return None
    judged_with = said.get(VERSION, "")
    if answering:
        answers = judged_with == answering.name
    else:
        answers = not OF_A_VERSION.search(judged_with) and base in (None, judged_with.rpartition("-")[2])
    return f"{said.get(TOLD)} (with {judged_with})" if answers else None


@lru_cache(maxsize=KEPT)
def _read(file: Path, _changed: int, _number: int) -> tuple[str, Proposer] | None:
    try:
        return read_proposer(file)
    except WeightsError as error:
        log.error("proposer_unusable", file=str(file), message=str(error))
        return None
