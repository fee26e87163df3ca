"""Images are encoded before the first click on them: that of the task just opened, then those of the next tasks.

One thread in a process, and a short list of what to do: the task opened last comes first, what falls off the end was
opened long ago. Clicks never wait for it (segmentation.turns), but for the one encode of their own image.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from backend.labelstudio.images import ImageLoader

Task = Mapping[str, Any]

NEXT_TASKS = 2
"""Tasks that are prepared behind the one that is open."""
LONGEST = 16
"""Of opened tasks and of next ones, so many are remembered."""

NEEDED = ("id", "project", "data")
"""What is remembered of a task: its annotations may be large."""

log = structlog.get_logger()


class Prefetch:
    """prepare: encodes a task's pictures, given its labelling configuration. following: the tasks that come next."""

    def __init__(self, prepare: Callable[[Task, str], None], following: Callable[[Task], Sequence[Task]]) -> None:
        self._prepare = prepare
        self._following = following
        self._changed = threading.Condition()
        self._opened: list[tuple[Task, str]] = []
        self._next: list[tuple[Task, str]] = []
        self._thread: threading.Thread | None = None

    def opened(self, task: Task, label_config: str) -> None:
        """Prepare this task as soon as may be. Returns at once."""
        needed = {name: task[name] for name in NEEDED if name in task}
        with self._changed:
            self._opened = [(needed, label_config), *self._opened][:LONGEST]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._opened or self._next)
                opened = bool(self._opened)
                task, label_config = (self._opened if opened else self._next).pop(0)
            try:
                self._prepare(task, label_config)
                if opened:
                    coming = [(one, label_config) for one in self._following(task)]
                    with self._changed:
                        self._next = [*coming, *self._next][:LONGEST]
            except Exception as error:  # whoever clicks there is told
                log.debug("A task could not be prepared", task=task.get("id"), error=str(error))


def following(images: ImageLoader, task: Task) -> list[Task]:
    """The tasks that an annotator gets after this one; none where Label Studio's API is not known.

    Raises Unanswerable where it does not answer.
    """
    number, project = task.get("id"), str(task.get("project")).partition(".")[0]
    api = images.api(task)
    if api is None or not isinstance(number, int) or not project.isdecimal():
        return []
    # The project's full name again: it says which Label Studio's it is.
    coming = api.unlabelled_after(int(project), number, NEXT_TASKS)
    return [{**one, "project": task["project"]} for one in coming]
