"""A /predict body -> predictions: ties configuration, context, image, model and regions together."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from backend.labelstudio.boxes import boxes_on
from backend.labelstudio.context import Ask, asks_of, prompt_of
from backend.labelstudio.interface import Interface, interface_of
from backend.labelstudio.outputs import Output, output_for
from backend.labelstudio.regions import prediction_of, results_of
from backend.labelstudio.segmenter import Segmenter, closer_of, phase_of, sight_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation import predictor
from backend.segmentation.engines import Engine
from backend.segmentation.prompts import Prompt

FIRST_PICTURES = 4
"""As many pictures of a task are prepared at most."""

BATCH_SECONDS = 60.0
"""For the boxes of many tasks: Label Studio gives up after 100 s, and then stores nothing at all."""

log = structlog.get_logger()


def _go_on() -> None:
    """Whoever asked is still there."""


def answer(
    segmenter: Segmenter,
    tasks: Sequence[Mapping[str, Any]],
    label_config: str,
    context: Mapping[str, Any] | None,
    project: str | None = None,
    go_on: Callable[[], None] = _go_on,
) -> list[dict[str, Any] | list[Any]]:
    """One entry per task, in order.

    project: "<id>.<time it was made>", where the request says it; tasks hold the id alone, which two Label Studios may
    both have. Without a context the boxes that lie on the tasks become masks, see `_from_boxes`. With one a prediction,
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
        return _from_boxes(segmenter, tasks, label_config, go_on)
    interface = interface_of(label_config)
    predictions: list[dict[str, Any] | list[Any]] = [[] for _ in tasks]
    refused: list[Unanswerable] = []
    for place, task in enumerate(tasks):
        with structlog.contextvars.bound_contextvars(task=task.get("id"), project=project), _noted(refused):
            predictions[place] = _prediction(segmenter, task, interface, context, go_on)
    _tell(refused, answered=len(tasks) - len(refused))
    return predictions


def _from_boxes(
    segmenter: Segmenter, tasks: Sequence[Mapping[str, Any]], label_config: str, go_on: Callable[[], None]
) -> list[dict[str, Any] | list[Any]]:
    """Masks of the boxes that lie on each task. An empty list, which Label Studio does not store, where none do, and
    for what does not get its turn within BATCH_SECONDS: who asks again goes on there, since tasks that have a
    prediction of this version are not asked for again.

    One task alone may be one that an annotator opens, who asked for nothing: boxes drawn there stay boxes. A task with
    predictions is not asked for when it is opened. Nobody reads errors here: they are lines in the log.
    """
    predictions: list[dict[str, Any] | list[Any]] = [[] for _ in tasks]
    boxed = [(place, boxes) for place, task in enumerate(tasks) if (boxes := boxes_on(task, drawn=len(tasks) > 1))]
    refused: list[Unanswerable] = []
    started = time.monotonic()
    for done, (place, boxes) in enumerate(boxed):
        if done and time.monotonic() - started > BATCH_SECONDS:
            log.warning("Retrieve Predictions again: the time was too short", tasks=done, left=len(boxed) - done)
            break
        with structlog.contextvars.bound_contextvars(task=tasks[place].get("id")), _noted(refused):
            predictions[place] = answer_boxes(segmenter, tasks[place], label_config, boxes, go_on)
    for error in {str(error): error for error in refused}.values():
        log.warning("left_out", link=error.link, message=str(error), tasks=len(refused))
    return predictions


def answer_boxes(
    segmenter: Segmenter,
    task: Mapping[str, Any],
    label_config: str,
    boxes: Sequence[Mapping[str, Any]],
    go_on: Callable[[], None] = _go_on,
) -> dict[str, Any]:
    """The prediction with the masks of a task's boxes (`boxes_on`), behind all clicks. Raises Unanswerable where there
    is none; see `answer`."""
    asked = {**task, "annotations": []}  # else what these hold would be no prompts
    return _prediction(segmenter, asked, interface_of(label_config), {"result": boxes}, go_on, hurried=False)


def prepare(segmenter: Segmenter, task: Mapping[str, Any], label_config: str) -> None:
    """Make the embeddings of the pictures that a task shows first, behind all that somebody waits for. Unanswerable."""
    engine = engine_for(segmenter, task)
    for address in interface_of(label_config).addresses_in(task)[:FIRST_PICTURES]:
        with segmenter.at_once.taken(patient=True):
            sight_of(segmenter, engine, address, task, urgent=False)


def engine_for(segmenter: Segmenter, task: Mapping[str, Any]) -> Engine:
    """The engine that answers this task's project."""
    project = task.get("project")
    return segmenter.version_for(segmenter.engine(), None if project is None else str(project))


def _prediction(
    segmenter: Segmenter,
    task: Mapping[str, Any],
    interface: Interface,
    context: Mapping[str, Any],
    go_on: Callable[[], None],
    hurried: bool = True,
) -> dict[str, Any]:
    """hurried: somebody waits with a mouse."""
    asks = asks_of(context, task, interface)
    if not asks:
        log.info("Nothing is asked for: no positive click and no box", context=repr(context)[:200])
    refused: list[Unanswerable] = []
    wanted: dict[tuple[str, int | None], list[_Wanted]] = defaultdict(list)
    for index, ask in enumerate(asks):
        with _noted(refused):
            output = output_for(interface, ask.to_name, ask.labels)
            wanted[ask.to_name, ask.item_index].append(_Wanted(index, ask, output))
    results: dict[int, list[dict[str, Any]]] = {}
    with segmenter.at_once.taken(patient=not hurried or len(asks) > 1):
        engine = engine_for(segmenter, task)
        for (to_name, item_index), objects in wanted.items():
            with _noted(refused):
                address = interface.address_of(to_name, item_index, task)
                for index, result in _on_picture(segmenter, engine, address, task, objects, refused, go_on, hurried):
                    results[index] = result
    _tell(refused, answered=len(results))
    return prediction_of([result for index in sorted(results) for result in results[index]], engine.version)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An object, and where it stands among those that were asked for."""

    index: int
    ask: Ask
    output: Output


def _on_picture(
    segmenter: Segmenter,
    engine: Engine,
    address: str,
    task: Mapping[str, Any],
    objects: Sequence[_Wanted],
    refused: list[Unanswerable],
    go_on: Callable[[], None],
    hurried: bool,
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Where each object stands, and its regions, one object after the other."""
    go_on()
    sight = sight_of(segmenter, engine, address, task, urgent=hurried)
    engine, embedding = sight.engine, sight.embedding
    asked: list[tuple[_Wanted, Prompt]] = []
    for one in objects:
        with _noted(refused):
            asked.append((one, prompt_of(one.ask, embedding.frame.width, embedding.frame.height)))
    closer = closer_of(segmenter, engine, address, task, sight.image, urgent=hurried)
    masks = predictor.masks_of(engine, embedding, [prompt for _, prompt in asked], segmenter.smallest_share, closer)
    for number in range(len(asked)):
        if number:
            segmenter.at_once.step_back()
            go_on()
        with phase_of(segmenter, "decode"):
            place, mask = next(masks)
        with phase_of(segmenter, "answer"):
            one, _ = asked[place]
            regions = results_of(one.ask, one.output, mask)
        yield one.index, regions


@contextmanager
def _noted(refused: list[Unanswerable]) -> Iterator[None]:
    """What cannot be answered within is noted, and what comes after it goes on."""
    try:
        yield
    except Unanswerable as error:
        refused.append(error)


def _tell(refused: Sequence[Unanswerable], answered: int) -> None:
    """Raises the first refusal where nothing was answered. Else they are lines in the log."""
    if refused and not answered:
        raise refused[0]
    for error in refused:
        log.warning("left_out", link=error.link, message=str(error), answered=answered)
