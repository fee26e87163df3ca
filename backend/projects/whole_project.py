"""Going through all tasks of a project over Label Studio's API, some at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog

from backend.labelstudio.client import Api, Project
from backend.labelstudio.interface import LINK, interface_of
from backend.labelstudio.outputs import nothing_holds
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unanswerable import Unanswerable

AT_ONCE = 4
"""Tasks on their way at once: the pictures of some are downloaded while that of another is encoded."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Done:
    """A task that is done. made: whether there was something to do. failure: why it could not be, or None."""

    task: int
    made: bool
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """tasks: how many there are. done: does the work, and gives each task as it is done."""

    tasks: int
    done: Iterator[Done]


def project_of(segmenter: Segmenter, number: int) -> tuple[Api, Project]:
    """The API that knows this project, and the project. Raises Unanswerable where Label Studio does not say what it
    has, and where its labelling configuration has nothing that holds masks."""
    api = segmenter.images.api({"project": number})
    if api is None:
        raise Unanswerable(
            "label studio",
            "set LABEL_STUDIO_URL to Label Studio's address and LABEL_STUDIO_API_KEY to a personal access token "
            "(Account & Settings): its API lists the tasks",
        )
    project = api.project(number)
    interface = interface_of(project.label_config)
    if not interface.images:
        raise Unanswerable(LINK, f"the labelling configuration of project {number} has no <Image>")
    if not any(interface.holders_on(image.name) for image in interface.images):
        raise Unanswerable(LINK, f"in project {number} {nothing_holds(interface.images[0].name, ())}")
    return api, project


def side_by_side(work: Callable[[Mapping[str, Any]], bool], tasks: Iterator[dict[str, Any]]) -> Iterator[Done]:
    """Each task as it is done. Whoever stops asking waits only for those that have begun.

    work: whether there was something to do for a task; what it raises is that task's failure, and the others go on.
    """

    def one(task: Mapping[str, Any]) -> Done:
        try:
            return Done(task["id"], work(task))
        except Unanswerable as error:
            return Done(task["id"], made=False, failure=str(error))
        except Exception as error:
            log.exception("A task failed", task=task["id"])
            return Done(task["id"], made=False, failure=f"{type(error).__name__}: {error}")

    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="project")
    running: set[Future[Done]] = set()
    try:
        while True:
            running |= {pool.submit(one, task) for task in islice(tasks, AT_ONCE - len(running))}
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in ended)
    finally:
        pool.shutdown(cancel_futures=True)
