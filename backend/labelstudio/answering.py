"""A /predict body -> predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from backend.labelstudio.context import asks_of
from backend.labelstudio.interface import Interface, interface_of
from backend.labelstudio.predictions import engine_for, here_still, noted, prediction_for, tell
from backend.labelstudio.segmenter import Segmenter, sight_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.labelstudio.unasked import unasked

FIRST_PICTURES = 4
"""As many pictures of a task are prepared at most."""

log = structlog.get_logger()


def answer(
    segmenter: Segmenter,
    tasks: Sequence[Mapping[str, Any]],
    label_config: str,
    context: Mapping[str, Any] | None,
    project: str | None = None,
    go_on: Callable[[], None] = here_still,
) -> list[dict[str, Any] | list[Any]]:
    """One entry per task, in order.

    project: "<id>.<time it was made>", where the request says it; tasks hold the id alone, which two Label Studios may
    both have. Without a context there may be something to make all the same, see `unasked`. With one a prediction,
    whose result is empty where the context asks for nothing (only negative clicks) or the model finds nothing.
    go_on: called before each mask; what it raises ends the answer.

    Raises Unanswerable where the configuration, the context or an image does not allow an answer. What can be answered
    beside that is: its task gets an empty list, its object no region, and the log a line.
    """
    if project is not None:
        tasks = [{**task, "project": project} for task in tasks]
    if not context:
        if len(tasks) == 1:
            segmenter.opened(tasks[0], label_config)
        return unasked(segmenter, tasks, label_config, go_on)
    interface = interface_of(label_config)
    predictions: list[dict[str, Any] | list[Any]] = [[] for _ in tasks]
    refused: list[Unanswerable] = []
    for place, task in enumerate(tasks):
        with structlog.contextvars.bound_contextvars(task=task.get("id"), project=project), noted(refused):
            predictions[place] = _prediction(segmenter, task, interface, context, go_on)
    tell(refused, answered=len(tasks) - len(refused))
    return predictions


def prepare(segmenter: Segmenter, task: Mapping[str, Any], label_config: str) -> None:
    """Make the embeddings of the pictures that a task shows first, behind all that somebody waits for. Unanswerable."""
    engine = engine_for(segmenter, task)
    for address in interface_of(label_config).addresses_in(task)[:FIRST_PICTURES]:
        with segmenter.at_once.taken(patient=True):
            sight_of(segmenter, engine, address, task, urgent=False)


def _prediction(
    segmenter: Segmenter,
    task: Mapping[str, Any],
    interface: Interface,
    context: Mapping[str, Any],
    go_on: Callable[[], None],
) -> dict[str, Any]:
    asks = asks_of(context, task, interface)
    if not asks:
        log.info("Nothing is asked for: no positive click and no box", context=repr(context)[:200])
    return prediction_for(segmenter, task, interface, asks, go_on, hurried=True)
