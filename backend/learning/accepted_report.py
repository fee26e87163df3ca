"""The page about a version: with the project's own pictures, where they can be had once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog

from backend.accepted.versions import Version
from backend.labelstudio.images import ImageLoader
from backend.labelstudio.pixels import pixels_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning.accepted_examples import AcceptedPicture
from backend.learning.decoding import decoder_of
from backend.learning.devices import cpu_has_bf16
from backend.learning.tuning import Outcome, with_decoder
from backend.learning.version_report import Case, case_of, version_report
from backend.segmentation.model import SegmentationModel

MOST_PICTURES = 12

log = structlog.get_logger()


def report_on(
    version: Version,
    before: str,
    old: SegmentationModel,
    outcome: Outcome,
    pictures: Sequence[AcceptedPicture],
    images: ImageLoader,
) -> None:
    """Writes <name>.html beside the version's file. before, old: what it was compared with."""
    page, cases = version.file.with_suffix(".html"), list(_cases(old, outcome, pictures, images))
    version_report(page, version.name, before, outcome.curve, outcome.verdict, cases)


def _cases(
    old: SegmentationModel, outcome: Outcome, pictures: Sequence[AcceptedPicture], images: ImageLoader
) -> Iterator[Case]:
    came_from = {picture.example.key: picture for picture in pictures}
    bf16 = cpu_has_bf16()
    before, after = decoder_of(old, bf16), decoder_of(with_decoder(old, outcome.decoder), bf16)
    for example in outcome.judged[:MOST_PICTURES]:
        picture = came_from[example.key]
        try:
            data = images.find(picture.address, picture.task, anew=True).data
            assert data is not None, "asked anew, the bytes come"
            pixels, _ = pixels_of(data, images.max_pixels)
        except Unanswerable as error:
            log.warning("A picture is not shown", task=picture.task["id"], why=str(error))
            continue
        yield case_of(example, pixels, before, after)
