"""Asks on a task -> a prediction with their masks: ties image, model and regions together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from backend.labelstudio.context import Ask, prompt_of
from backend.labelstudio.interface import Interface
from backend.labelstudio.outputs import Output, output_for
from backend.labelstudio.regions import prediction_of, results_of
from backend.labelstudio.segmenter import Segmenter, closer_of, phase_of, sight_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation import predictor
from backend.segmentation.engines import Engine
from backend.segmentation.prompts import Prompt

log = structlog.get_logger()


def here_still() -> None:
    """Whoever asked has not gone."""


def engine_for(segmenter: Segmenter, task: Mapping[str, Any]) -> Engine:
    """The engine that answers this task's project."""
    project = task.get("project")
    return segmenter.version_for(segmenter.engine(), None if project is None else str(project))


def prediction_for(
    segmenter: Segmenter,
    task: Mapping[str, Any],
    interface: Interface,
    asks: Sequence[Ask],
    go_on: Callable[[], None],
    hurried: bool,
) -> dict[str, Any]:
    """The masks of what is asked for on a task. hurried: somebody waits with a mouse. go_on: called before each mask;
    what it raises ends the answer.

    What cannot be answered is left out, with a line in the log. Raises Unanswerable where nothing can.
    """
    refused: list[Unanswerable] = []
    wanted: dict[tuple[str, int | None], list[_Wanted]] = defaultdict(list)
    for index, ask in enumerate(asks):
        with noted(refused):
            output = output_for(interface, ask.to_name, ask.labels)
            wanted[ask.to_name, ask.item_index].append(_Wanted(index, ask, output))
    results: dict[int, list[dict[str, Any]]] = {}
    with segmenter.at_once.taken(patient=not hurried or len(asks) > 1):
        engine = engine_for(segmenter, task)
        for (to_name, item_index), objects in wanted.items():
            with noted(refused):
                address = interface.address_of(to_name, item_index, task)
                for index, result in _on_picture(segmenter, engine, address, task, objects, refused, go_on, hurried):
                    results[index] = result
    tell(refused, answered=len(results))
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
        with noted(refused):
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
def noted(refused: list[Unanswerable]) -> Iterator[None]:
    """What cannot be answered within is noted, and what comes after it goes on."""
    try:
        yield
    except Unanswerable as error:
        refused.append(error)


def tell(refused: Sequence[Unanswerable], answered: int) -> None:
    """Raises the first refusal where nothing was answered. Else they are lines in the log."""
    if refused and not answered:
        raise refused[0]
    for error in refused:
        log.warning("left_out", link=error.link, message=str(error), answered=answered)
