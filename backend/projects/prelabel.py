"""Masks for a whole project's tasks, stored as predictions: of the boxes on them, or of what the project proposes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.labelstudio.predictions import engine_for, here_still
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unasked import wanted_on
from backend.projects.whole_project import Work, project_of, side_by_side


def prelabel(segmenter: Segmenter, number: int) -> Work:
    """What has a prediction of this version is left as it is: start it again where it ended.

    Raises Unanswerable as `project_of` does, here or from `done`.
    """
    api, project = project_of(segmenter, number)

    def one(task: Mapping[str, Any]) -> bool:
        task = {**task, "project": project.key}
        make = wanted_on(segmenter, task, project.label_config)
        if not make or _has(task.get("predictions"), engine_for(segmenter, task).version):
            return False
        prediction = make(here_still)
        if not prediction or _has(api.predictions(task["id"]), prediction["model_version"]):
            return False  # somebody else made masks meanwhile
        api.predict(task["id"], prediction)
        return True

    return Work(project.tasks, side_by_side(one, api.whole_tasks(number)))


def _has(predictions: Any, version: str) -> bool:
    return any(one.get("model_version") == version for one in predictions or [] if isinstance(one, Mapping))
