"""A whole project's images encoded ahead, into the cache on disk that the service reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.labelstudio.answering import prepare
from backend.labelstudio.segmenter import Segmenter
from backend.projects.whole_project import Work, project_of, side_by_side


def precompute(segmenter: Segmenter, number: int) -> Work:
    """Everything is asked for again, but only what is not in the cache is encoded: start it again where it ended.

    segmenter: its embeddings must be kept in files. Raises Unanswerable as `project_of` does, here or from `done`.
    """
    api, project = project_of(segmenter, number)

    def one(task: Mapping[str, Any]) -> bool:
        prepare(segmenter, task, project.label_config)
        return True

    return Work(project.tasks, side_by_side(one, api.tasks(number)))
