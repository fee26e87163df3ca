"""Jobs are run one after the other, by one process at a time, and none is lost."""

import os
import signal

import pytest
from filelock import FileLock

from backend.accepted import jobs
from backend.labelstudio.unanswerable import Unanswerable
from backend.learning.worker import Stopped, stopped_by_signals, work_off
from backend.segmentation.weights import WeightsError


def states(folder):
    return [(job.project, job.state, job.attempts, job.told) for job in reversed(jobs.jobs(folder))]


def test_all_that_waits_is_done_in_turn(tmp_path):
    for project in ("1.5", "2.5", "1.5"):
        jobs.enqueue(tmp_path, project, "because")
    assert work_off(tmp_path, lambda job: f"{job.project} learned")
    assert states(tmp_path) == [("1.5", "done", 1, "1.5 learned"), ("2.5", "done", 1, "2.5 learned")]


def test_a_job_that_is_asked_for_meanwhile_is_done_too(tmp_path):
    jobs.enqueue(tmp_path, "1.5", "because")

    def run(job):
        if job.number == 1:
            jobs.enqueue(tmp_path, "1.5", "more came")
        return "learned"

    assert work_off(tmp_path, run)
    assert states(tmp_path) == 2 * [("1.5", "done", 1, "learned")]


@pytest.mark.parametrize("error", [Unanswerable("image", "no images"), WeightsError("no weights")])
def test_what_a_person_must_put_right_is_told_and_not_tried_again(tmp_path, error):
    jobs.enqueue(tmp_path, "1.5", "because")
    jobs.enqueue(tmp_path, "2.5", "because")

    def run(job):
        if job.project == "1.5":
            raise error
        return "learned"

    assert work_off(tmp_path, run)
    assert states(tmp_path) == [("1.5", "failed", 1, str(error)), ("2.5", "done", 1, "learned")]


def test_a_job_that_crashes_is_tried_once_more(tmp_path):
    jobs.enqueue(tmp_path, "1.5", "because")

    def crash(_job):
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            work_off(tmp_path, crash)
    assert work_off(tmp_path, crash)
    assert states(tmp_path) == [("1.5", "failed", 2, "ended without a word 2 times")]


def test_a_signal_puts_the_job_back_without_an_attempt(tmp_path):
    jobs.enqueue(tmp_path, "1.5", "because")

    def run(_job):
        os.kill(os.getpid(), signal.SIGTERM)
        return "learned"

    with pytest.raises(Stopped), stopped_by_signals():
        work_off(tmp_path, run)
    assert states(tmp_path) == [("1.5", "queued", 0, "")]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_where_another_process_works_nothing_happens(tmp_path):
    jobs.enqueue(tmp_path, "1.5", "because")
    with FileLock(tmp_path / jobs.LOCK):
        assert not work_off(tmp_path, lambda _job: "learned")
    assert states(tmp_path) == [("1.5", "queued", 0, "")]
