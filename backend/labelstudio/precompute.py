"""A whole project's images encoded ahead, into the cache on disk that the service reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any

from backend.labelstudio.answering import prepare
from backend.labelstudio.interface import LINK, interface_of
from backend.labelstudio.outputs import nothing_holds
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unanswerable import Unanswerable

AT_ONCE = 4
"""Images on their way at once: some are downloaded while one is encoded."""


@dataclass(frozen=True, slots=True)
class Done:
    """A task whose images are in the cache, or `failure`, which says why not."""

    task: int
    failure: str | None


@dataclass(frozen=True, slots=True)
class Work:
    """tasks: how many there are. done: does the work, and gives each task as it is done."""

    tasks: int
    done: Iterator[Done]


def precompute(segmenter: Segmenter, project: int) -> Work:
    """Everything is asked for again, but only what is not in the cache is encoded: start it again where it ended.

    segmenter: its embeddings must be kept in files. Raises Unanswerable where Label Studio does not say what the
    project has, here or from `done`, and where its labelling configuration has nothing that holds masks.
    """
    api = segmenter.images.api({"project": project})
    if api is None:
        raise Unanswerable(
            "label studio",
            "set LABEL_STUDIO_URL to Label Studio's address and LABEL_STUDIO_API_KEY to a personal access token "
            "(Account & Settings): its API lists the tasks",
        )
    found = api.project(project)
    interface = interface_of(found.label_config)
    if not any(interface.holders_on(image.name) for image in interface.images):
        name = interface.images[0].name if interface.images else "image"
        raise Unanswerable(LINK, f"project {project} has no pictures to click on: {nothing_holds(name, ())}")

    def one(task: Mapping[str, Any]) -> Done:
        try:
            prepare(segmenter, task, found.label_config)
        except Unanswerable as error:
            return Done(task["id"], str(error))
        return Done(task["id"], None)

    return Work(found.tasks, _side_by_side(one, api.tasks(project)))


def _side_by_side(work: Callable[[Mapping[str, Any]], Done], tasks: Iterator[dict[str, Any]]) -> Iterator[Done]:
    """As they are done. Whoever stops asking waits only for those that have begun."""
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="precompute")
    running: set[Future[Done]] = set()
    try:
        while True:
            running |= {pool.submit(work, task) for task in islice(tasks, AT_ONCE - len(running))}
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in ended)
    finally:
        pool.shutdown(cancel_futures=True)
