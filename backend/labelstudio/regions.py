"""A mask and its ask -> what Label Studio shows: result regions, and the prediction that holds them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import structlog

from backend.labelstudio.context import Ask
from backend.labelstudio.outputs import Output
from backend.labelstudio.values import values_of
from backend.segmentation.predictor import Mask

PART = re.compile(r"(?<=^[0-9a-f]{16})p\d+$")

log = structlog.get_logger()


def results_of(ask: Ask, output: Output, mask: Mask) -> list[dict[str, Any]]:
    """The regions of `mask` (bool height x width of the image, EXIF applied), as the items of a result.

    One item; a polygon for each of its parts; a second item of type "labels" with the same id where a <Labels> tag
    gives a tag without labels its label, as Label Studio itself writes such a region; none where the mask is empty:
    nobody wants a region without a pixel.

    The id is new every time: two answers of one id leave one region when both are accepted. Those of a mask's parts
    after the first are the first one's with "p1", "p2" and so on behind it, by which learning knows them as one thing.
    Neither `readonly` nor `origin` is sent: they would lock the region.
    """
    if not mask.pixels.any():
        log.info("The model found nothing for this prompt", label=list(ask.labels), to_name=ask.to_name)
        return []
    height, width = mask.pixels.shape
    region = {
        "to_name": ask.to_name,
        "original_width": width,
        "original_height": height,
        "image_rotation": ask.image_rotation,
        "score": mask.score if ask.sure is None else ask.sure,
    }
    if ask.item_index is not None:
        region["item_index"] = ask.item_index
    new, items = uuid.uuid4().hex[:16], []
    clicks = [(click.x, click.y) for click in ask.clicks]
    for part, value in enumerate(values_of(output.kind, mask.pixels, clicks)):
        items += _items(output, {"id": f"{new}p{part}" if part else new, **region}, value)
    return items


def thing_of(region_id: str) -> str:
    """What a region belongs to, by its id: all parts of one mask to the same."""
    return PART.sub("", region_id)


def _items(output: Output, region: dict[str, Any], value: dict[str, Any]) -> list[dict[str, Any]]:
    labels = list(output.labels)
    item = {**region, "from_name": output.name, "type": output.type, "value": value}
    if labels and output.labelled_by is None:
        return [{**item, "value": {**value, output.type: labels}}]
    if output.labelled_by is None:
        return [item]
    return [item, {**item, "from_name": output.labelled_by, "type": "labels", "value": {**value, "labels": labels}}]


def prediction_of(results: Sequence[dict[str, Any]], model_version: str) -> dict[str, Any]:
    """A task's prediction; its score is the mean of its results', 0 where there are none."""
    score = fmean(result["score"] for result in results) if results else 0.0
    return {"result": list(results), "score": score, "model_version": model_version}
