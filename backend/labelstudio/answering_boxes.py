"""Boxes that lie on tasks already -> predictions with their masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import structlog

from backend.labelstudio.boxes import boxes_on
from backend.labelstudio.context import MOST_OBJECTS, Ask, asks_of
from backend.labelstudio.interface import LINK, Interface, interface_of
from backend.labelstudio.predictions import engine_for, here_still, noted, prediction_for, tell
from backend.labelstudio.regions import prediction_of
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unanswerable import Unanswerable

BATCH_SECONDS = 60.0
"""For the boxes of many tasks: Label Studio gives up after 100 s, and then stores nothing at all."""
ALONE_SECONDS = 20.0
"""For those of one task: perhaps its annotator waits for them."""

log = structlog.get_logger()


class _TooLongError(Exception):
    """A task's boxes take longer than there is time."""


def from_boxes(
    segmenter: Segmenter, tasks: Sequence[Mapping[str, Any]], label_config: str, go_on: Callable[[], None]
) -> list[dict[str, Any] | list[Any]]:
    """Masks of the boxes that lie on each task. An empty list, which Label Studio does not store, where none do, and
    for what is not done within BATCH_SECONDS: who asks again goes on there, since tasks that have a prediction of this
    version are not asked for again.

    One task alone may be one that an annotator opens, who asked for nothing: boxes drawn there stay boxes. Label Studio
    asks so for a task with a detector's predictions where it was told to prelabel with this model. Nobody reads errors
    here: they are lines in the log.
    """
    predictions: list[dict[str, Any] | list[Any]] = [[] for _ in tasks]
    boxed = [(place, boxes) for place, task in enumerate(tasks) if (boxes := boxes_on(task, drawn=len(tasks) > 1))]
    told: set[str] = set()
    until = monotonic() + (BATCH_SECONDS if len(tasks) > 1 else ALONE_SECONDS)

    def in_time() -> None:
        go_on()
        if monotonic() > until:
            raise _TooLongError

    for done, (place, boxes) in enumerate(boxed):
        with structlog.contextvars.bound_contextvars(task=tasks[place].get("id")):
            try:
                predictions[place] = answer_boxes(segmenter, tasks[place], label_config, boxes, in_time)
            except Unanswerable as error:
                if str(error) not in told:  # what is wrong with the interface is wrong for all tasks
                    log.warning("left_out", link=error.link, message=str(error))
                told.add(str(error))
            except _TooLongError:
                log.warning(
                    "The time was too short: retrieve predictions again for the rest, or use prelabel",
                    tasks=done,
                    left=len(boxed) - done,
                )
                break
    return predictions


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
