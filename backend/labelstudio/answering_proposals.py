"""Tasks that nobody has labelled -> predictions with masks of what looks like the project's accepted ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backend.labelstudio.context import Ask, Click
from backend.labelstudio.interface import interface_of
from backend.labelstudio.outputs import unknown_labels
from backend.labelstudio.predictions import engine_for, here_still, prediction_for
from backend.labelstudio.segmenter import Segmenter, sight_of
from backend.segmentation.proposals import proposals

MOST_PICTURES = 4
"""Of a task."""


def answer_proposals(
    segmenter: Segmenter,
    task: Mapping[str, Any],
    label_config: str,
    go_on: Callable[[], None] = here_still,
) -> dict[str, Any] | None:
    """The prediction with the masks of what is proposed on a task, behind all clicks; None where nothing is.

    Each is answered as a click there would be. Raises Unanswerable where a picture cannot be had.
    """
    engine, judged = engine_for(segmenter, task), segmenter.proposer_for(_project_of(task))
    if judged is None or judged[0] != engine.version:
        return None
    interface, proposer = interface_of(label_config), judged[1]
    asks: list[Ask] = []
    for name, index, address in interface.pictures_in(task)[:MOST_PICTURES]:
        go_on()
        with segmenter.at_once.taken(patient=True):
            seen = sight_of(segmenter, segmenter.engine(), address, task, urgent=False).embedding
            sight = sight_of(segmenter, engine, address, task, urgent=False)
            found = proposals(proposer, seen, sight.engine, sight.embedding)
        frame = seen.frame
        for one in found:
            labels = (one.kind,) if one.kind else ()
            if not unknown_labels(interface, name, labels):
                click = Click(100 * one.click[0] / frame.width, 100 * one.click[1] / frame.height, positive=True)
                asks.append(Ask(name, index, labels, 0.0, (click,)))
    prediction = prediction_for(segmenter, task, interface, asks, go_on, hurried=False) if asks else None
    return prediction if prediction and prediction["result"] else None


def may_propose(segmenter: Segmenter, task: Mapping[str, Any]) -> bool:
    """Whether nobody has labelled the task, and its project has a proposer."""
    found = task.get("annotations")
    ones = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
    if any(one.get("result") and not one.get("was_cancelled") for one in ones):
        return False
    return segmenter.proposer_for(_project_of(task)) is not None


def _project_of(task: Mapping[str, Any]) -> str | None:
    project = task.get("project")
    return None if project is None else str(project)
