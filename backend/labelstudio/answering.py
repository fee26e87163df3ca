"""A /predict body -> predictions: ties configuration, context, image, model and regions together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from backend.labelstudio.context import asks_of, prompt_of
from backend.labelstudio.interface import Interface, interface_of
from backend.labelstudio.regions import prediction_of, results_of
from backend.labelstudio.segmenter import Segmenter, closer_of, embedding_of, phase_of
from backend.segmentation import predictor
from backend.segmentation.engines import Engine

FIRST_PICTURES = 4
"""As many pictures of a task are prepared at most."""

log = structlog.get_logger()


def answer(
    segmenter: Segmenter,
    tasks: Sequence[Mapping[str, Any]],
    label_config: str,
    context: Mapping[str, Any] | None,
    project: str | None = None,
) -> list[dict[str, Any] | list[Any]]:
    """One entry per task, in order.

    project: "<id>.<time it was made>", where the request says it; tasks hold the id alone, which two Label Studios may
    both have. Without a context an empty list, which Label Studio does not store: one task alone is one that an
    annotator opens, several are Retrieve Predictions, for which nobody waits with a mouse. With a context a prediction,
    whose result is empty where the context asks for nothing (only negative clicks) or the model finds nothing.

    Raises Unanswerable where the configuration, the context or an image does not allow an answer.
    """
    if project is not None:
        tasks = [{**task, "project": project} for task in tasks]
    if not context:
        if len(tasks) == 1:
            segmenter.opened(tasks[0], label_config)
        return [[] for _ in tasks]
    interface = interface_of(label_config)
    predictions: list[dict[str, Any] | list[Any]] = []
    for task in tasks:
        with segmenter.at_once.taken(), structlog.contextvars.bound_contextvars(task=task.get("id"), project=project):
            predictions.append(_prediction(segmenter, task, interface, context))
    return predictions


def prepare(segmenter: Segmenter, task: Mapping[str, Any], label_config: str) -> None:
    """Make the embeddings of the pictures that a task shows first, behind all that somebody waits for. Unanswerable."""
    engine = _engine_for(segmenter, task)
    for address in interface_of(label_config).addresses_in(task)[:FIRST_PICTURES]:
        with segmenter.at_once.taken():
            embedding_of(segmenter, engine, address, task, urgent=False)


def _engine_for(segmenter: Segmenter, task: Mapping[str, Any]) -> Engine:
    project = task.get("project")
    return segmenter.version_for(segmenter.engine(), None if project is None else str(project))


def _prediction(
    segmenter: Segmenter, task: Mapping[str, Any], interface: Interface, context: Mapping[str, Any]
) -> dict[str, Any]:
    asks = asks_of(context, task, interface)
    if not asks:
        log.info("Nothing is asked for: no positive click and no box", context=repr(context)[:200])
    brushes = [interface.brush_for(ask.to_name, ask.labels) for ask in asks]
    engine = _engine_for(segmenter, task)
    by_image: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for index, ask in enumerate(asks):
        by_image[ask.to_name, ask.item_index].append(index)
    results: list[list[dict[str, Any]]] = [[] for _ in asks]
    for (to_name, item_index), indices in by_image.items():
        address = interface.address_of(to_name, item_index, task)
        image, embedding = embedding_of(segmenter, engine, address, task, urgent=True)
        closer = closer_of(segmenter, engine, address, task, image)
        prompts = [prompt_of(asks[index], embedding.frame.width, embedding.frame.height) for index in indices]
        masks = predictor.masks_of(engine, embedding, prompts, segmenter.smallest_share, closer)
        for number, _ in enumerate(indices):
            if number:
                segmenter.at_once.step_back()
            with phase_of(segmenter, "decode"):
                place, mask = next(masks)
            with phase_of(segmenter, "answer"):
                index = indices[place]
                results[index] = results_of(asks[index], brushes[index], mask)
    return prediction_of([result for of_one in results for result in of_one], engine.version)
