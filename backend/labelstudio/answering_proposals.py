"""Tasks that nobody has labelled -> predictions with masks of what looks like the project's accepted ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from backend.labelstudio.context import Ask, Click
from backend.labelstudio.interface import interface_of
from backend.labelstudio.outputs import unknown_labels
from backend.labelstudio.predictions import engine_for, here_still, noted, prediction_for, tell
from backend.labelstudio.segmenter import Segmenter, sight_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.preprocess import Frame
from backend.segmentation.proposals import Proposal, proposals

MOST_PICTURES = 4
"""Of a task."""
SECONDS = 3.0
"""For looking at a task: what is found by then is proposed. Perhaps somebody opens it, and waits."""


def answer_proposals(
    segmenter: Segmenter,
    task: Mapping[str, Any],
    label_config: str,
    go_on: Callable[[], None] = here_still,
) -> dict[str, Any] | None:
    """The prediction with the masks of what is proposed on a task, behind all clicks; None where nothing is.

    Each is answered as a click there would be. What cannot be looked at is left out, with a line in the log;
    raises Unanswerable where that leaves nothing.
    """
    engine, judged = engine_for(segmenter, task), segmenter.proposer_for(_project_of(task))
    if judged is None or judged[0] != engine.version:
        return None
    interface, proposer = interface_of(label_config), judged[1]
    asks: list[Ask] = []
    refused: list[Unanswerable] = []
    until = monotonic() + SECONDS

    def more() -> bool:
        go_on()
        segmenter.at_once.step_back()
        return monotonic() < until

    for name, index, address in interface.pictures_in(task)[:MOST_PICTURES]:
        with noted(refused), segmenter.at_once.taken(patient=True):
            seen = sight_of(segmenter, segmenter.engine(), address, task, urgent=False).embedding
            sight = sight_of(segmenter, engine, address, task, urgent=False)
            for one in proposals(proposer, seen, sight.engine, sight.embedding, more):
                labels = (one.kind,) if one.kind else ()
                if not unknown_labels(interface, name, labels):
                    asks.append(Ask(name, index, labels, 0.0, (_click_of(one, seen.frame),), sure=one.score))
    tell(refused, answered=len(asks))
    prediction = prediction_for(segmenter, task, interface, asks, go_on, hurried=False) if asks else None
    return prediction if prediction and prediction["result"] else None


def _click_of(one: Proposal, frame: Frame) -> Click:
    """In percent."""
    return Click(100 * one.click[0] / frame.width, 100 * one.click[1] / frame.height, positive=True)


def may_propose(segmenter: Segmenter, task: Mapping[str, Any]) -> bool:
    """Whether nobody has labelled the task, skipped it or begun to, and its project has a proposer. An annotation
    without a region says that there is nothing."""
    if task.get("annotations") or task.get("drafts"):
        return False
    return segmenter.proposer_for(_project_of(task)) is not None


def _project_of(task: Mapping[str, Any]) -> str | None:
    project = task.get("project")
    return None if project is None else str(project)
