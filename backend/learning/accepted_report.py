"""The page about a version: with the project's own pictures, where they can be had once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog

from backend.accepted.versions import Version
from backend.labelstudio.images import ImageLoader
from backend.labelstudio.pixels import pixels_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning.accepted_examples import AcceptedPicture
from backend.learning.gate import Answers
from backend.learning.tuning import Outcome
from backend.learning.version_report import Case, case_of, version_report

MOST_PICTURES = 12

log = structlog.get_logger()


def report_on(
    version: Version,
    before: str,
    old: Answers,
    new: Answers,
    outcome: Outcome,
    pictures: Sequence[AcceptedPicture],
    images: ImageLoader,
) -> None:
    """Writes <name>.html beside the version's file. before, old: what it was compared with. new: how it answers."""
    page, cases = version.file.with_suffix(".html"), list(_cases(old, new, outcome, pictures, images))
    version_report(page, version.name, before, outcome.curve, outcome.verdict, cases)


def _cases(
    old: Answers, new: Answers, outcome: Outcome, pictures: Sequence[AcceptedPicture], images: ImageLoader
) -> Iterator[Case]:
    came_from = {picture.example.key: picture for picture in pictures}
    for example in outcome.judged[:MOST_PICTURES]:
        picture = came_from[example.key]
        try:
            data = images.find(picture.address, picture.task, anew=True).data
            assert data is not None, "asked anew, the bytes come"
            pixels, _ = pixels_of(data, images.max_pixels)
        except Unanswerable as error:
            log.warning("A picture is not shown", task=picture.task["id"], why=str(error))
            continue
        yield case_of(example, pixels, old, new)
