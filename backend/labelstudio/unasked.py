"""What nobody asked for: predictions for tasks that Label Studio names without a context."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Any

import structlog

from backend.labelstudio.answering_boxes import answer_boxes
from backend.labelstudio.answering_proposals import answer_proposals, may_propose
from backend.labelstudio.boxes import boxes_on
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unanswerable import Unanswerable

BATCH_SECONDS = 60.0
"""For many tasks: Label Studio gives up after 100 s, and then stores nothing at all."""
ALONE_SECONDS = 20.0
"""For one task: perhaps its annotator waits for them."""

Make = Callable[[Callable[[], None]], dict[str, Any] | None]
"""What makes a task's prediction. It is given what to call before each mask."""

log = structlog.get_logger()


class _TooLongError(Exception):
    """A task's masks take longer than there is time."""


def unasked(
    segmenter: Segmenter, tasks: Sequence[Mapping[str, Any]], label_config: str, go_on: Callable[[], None]
) -> list[dict[str, Any] | list[Any]]:
    """What there is to make for each task, see `wanted_on`. An empty list, which Label Studio does not store, where
    that is nothing, and for what is not done within BATCH_SECONDS: who asks again goes on there, since tasks that have
    a prediction of this version are not asked for again.

    One task alone may be one that an annotator opens, who asked for nothing: boxes drawn there stay boxes. Label Studio
    asks so for a task with a detector's predictions where it was told to prelabel with this model. Nobody reads errors
    here: they are lines in the log.
    """
    # What the base answers while a version loads would be stored under the version's name.
    segmenter = replace(segmenter, version_for=segmenter.version_once_loaded)
    predictions: list[dict[str, Any] | list[Any]] = [[] for _ in tasks]
    drawn = len(tasks) > 1
    wanted = [
        (place, make) for place, task in enumerate(tasks) if (make := wanted_on(segmenter, task, label_config, drawn))
    ]
    told: set[str] = set()
    until = monotonic() + (BATCH_SECONDS if len(tasks) > 1 else ALONE_SECONDS)

    def in_time() -> None:
        go_on()
        if monotonic() > until:
            raise _TooLongError

    for done, (place, make) in enumerate(wanted):
        with structlog.contextvars.bound_contextvars(task=tasks[place].get("id")):
            try:
                predictions[place] = make(in_time) or []
            except Unanswerable as error:
                if str(error) not in told:  # what is wrong with the interface is wrong for all tasks
                    log.warning("left_out", link=error.link, message=str(error))
                told.add(str(error))
            except _TooLongError:
                log.warning(
                    "The time was too short: retrieve predictions again for the rest, or use prelabel",
                    tasks=done,
                    left=len(wanted) - done,
                )
                break
    return predictions


def wanted_on(segmenter: Segmenter, task: Mapping[str, Any], label_config: str, drawn: bool = True) -> Make | None:
    """What makes masks of the boxes that lie on a task, where such do; else of what its project proposes, where nobody
    has labelled the task; or None. drawn: whether boxes that people drew count."""
    if boxes := boxes_on(task, drawn):
        return partial(answer_boxes, segmenter, task, label_config, boxes)
    if may_propose(segmenter, task):
        return partial(answer_proposals, segmenter, task, label_config)
    return None
