"""Runs the jobs that wait, one after the other, in a process that gives way to whoever serves clicks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import structlog
from filelock import FileLock, Timeout

from backend.accepted import jobs
from backend.accepted.jobs import Job
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning.masks import DataError
from backend.segmentation.weights import WeightsError

log = structlog.stdlib.get_logger("edgesam.learning")


class Stopped(KeyboardInterrupt):
    """SIGTERM came."""


def work_off(folder: Path, run: Callable[[Job], str], project: str | None = None) -> bool:
    """Run waiting jobs, of one project or of all, until there are none. False, at once, where another process does so
    already.

    run: does a job and says what came of it. What it raises for people ends the job as failed; anything else ends this
    process, and the job is tried once more by the next. A signal puts the job back as it was, and is raised on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / jobs.LOCK, timeout=0):
            jobs.requeue_interrupted(folder)
            while job := jobs.claim(folder, project):
                _run(folder, job, run)
    except Timeout:
        return False
    return True


def _run(folder: Path, job: Job, run: Callable[[Job], str]) -> None:
    log.info("learning_begins", job=job.number, project=job.project, reason=job.reason, attempt=job.attempts)
    try:
        told = run(job)
    except (Unanswerable, WeightsError, DataError) as error:
        jobs.fail(folder, job.number, str(error))
        log.warning("learning_failed", job=job.number, project=job.project, message=str(error))
    except KeyboardInterrupt:
        jobs.put_back(folder, job.number)
        log.info("learning_stopped", job=job.number, project=job.project)
        raise
    else:
        jobs.finish(folder, job.number, told)
        log.info("learning_ends", job=job.number, project=job.project, message=told)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM raises Stopped inside, as Ctrl-C raises KeyboardInterrupt."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: putting a job back is not interrupted
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
