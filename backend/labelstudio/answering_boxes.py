"""The boxes that lie on a task already -> a prediction with their masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from backend.labelstudio.context import MOST_OBJECTS, Ask, asks_of
from backend.labelstudio.interface import LINK, Interface, interface_of
from backend.labelstudio.predictions import engine_for, here_still, noted, prediction_for, tell
from backend.labelstudio.regions import prediction_of
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unanswerable import Unanswerable


def answer_boxes(
    segmenter: Segmenter,
    task: Mapping[str, Any],
    label_config: str,
    boxes: Sequence[Sequence[Mapping[str, Any]]],
    go_on: Callable[[], None] = here_still,
) -> dict[str, Any]:
    """The prediction with the masks of a task's boxes (`boxes_on`), behind all clicks. A box that cannot be answered is
    left out, with a line in the log. Raises Unanswerable where none can."""
    interface = interface_of(label_config)
    if _holds_only_boxes(interface):
        raise Unanswerable(
            LINK, "only rectangles hold masks, so boxes would become boxes; add BrushLabels, for example"
        )
    asks: list[Ask] = []
    refused: list[Unanswerable] = []
    for items in boxes:
        with noted(refused):
            asks += asks_of({"result": list(items)}, {}, interface)
    results, version = [], engine_for(segmenter, task).version
    for begin in range(0, len(asks), MOST_OBJECTS):
        with noted(refused):
            few = asks[begin : begin + MOST_OBJECTS]
            results += prediction_for(segmenter, task, interface, few, go_on, hurried=False)["result"]
    tell(refused, answered=len(results))
    return prediction_of(results, version)


def _holds_only_boxes(interface: Interface) -> bool:
    holders = [control for image in interface.images for control in interface.holders_on(image.name)]
    return bool(holders) and all(control.kind == "rectangle" for control in holders)
