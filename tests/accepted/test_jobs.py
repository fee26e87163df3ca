"""The queue of jobs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backend.accepted.database import connected
from backend.accepted.jobs import (
    claim,
    count_by_state,
    enqueue,
    fail,
    finish,
    jobs,
    put_back,
    renew,
    requeue_interrupted,
    tell,
    unfinished,
)
from backend.accepted.versions import Version, choose, record

P, Q = "27.1795354711", "28.1800000000"


def states(folder: Path) -> list[tuple[str, int]]:
    return [(job.state, job.attempts) for job in jobs(folder)]


def test_one_job_of_a_project_waits_at_a_time(tmp_path: Path) -> None:
    first = enqueue(tmp_path, P, "20 new regions")
    assert (first.state, first.attempts, first.reason) == ("queued", 0, "20 new regions")
    assert enqueue(tmp_path, P, "asked for") == first
    assert enqueue(tmp_path, Q, "asked for").number != first.number
    claim(tmp_path)
    assert enqueue(tmp_path, P, "asked for").number > first.number, "what runs does not see what comes now"


NOW, BEFORE = "0a0a0a0a", "c168a5b0"


def version(folder: Path, number: int, base: str, job: int | None = None) -> None:
    name, made = f"edgesam-{base}-p27-v{number}", "2999-01-01T00:00:00+00:00"  # a clock that was set back since
    record(folder, Version(P, number, name, folder / name, "0" * 64, base, True, {}, made, job))


def test_a_project_whose_version_is_of_other_weights_learns_anew_once(tmp_path: Path) -> None:
    assert renew(tmp_path, P, NOW) is None
    version(tmp_path, 1, BEFORE)
    assert renew(tmp_path, P, NOW) is None, "nobody chose it"
    choose(tmp_path, P, "edgesam-c168a5b0-p27-v1")
    assert renew(tmp_path, P, BEFORE) is None, "it fits"
    assert renew(tmp_path, Q, NOW) is None
    job = renew(tmp_path, P, NOW)
    assert job is not None
    assert (job.project, job.state, job.reason) == (P, "queued", "other weights answer now: 0a0a0a0a")
    assert renew(tmp_path, P, NOW) is None, "it waits"
    claim(tmp_path)
    assert renew(tmp_path, P, NOW) is None, "it runs"
    fail(tmp_path, job.number, "Label Studio does not answer")
    assert renew(tmp_path, P, NOW) is None, "it could not be done"
    assert renew(tmp_path, P, "0b0b0b0b") is not None, "and others came"


def test_a_job_that_somebody_asked_for_learns_from_the_new_weights_too(tmp_path: Path) -> None:
    version(tmp_path, 1, BEFORE)
    choose(tmp_path, P, "edgesam-c168a5b0-p27-v1")
    asked = enqueue(tmp_path, P, "Start Training")
    assert renew(tmp_path, P, NOW) is None
    claim(tmp_path)
    assert renew(tmp_path, P, NOW) is None
    version(tmp_path, 2, NOW, asked.number)
    finish(tmp_path, asked.number, "not better")
    assert renew(tmp_path, P, NOW) is None, "it was judged"
    assert [job.reason for job in jobs(tmp_path)] == ["Start Training"]


def test_a_job_for_weights_that_were_gone_when_it_ran_is_asked_for_again(tmp_path: Path) -> None:
    version(tmp_path, 1, BEFORE)
    choose(tmp_path, P, "edgesam-c168a5b0-p27-v1")
    job = renew(tmp_path, P, NOW)
    assert job is not None
    claim(tmp_path)
    version(tmp_path, 2, BEFORE, job.number)
    finish(tmp_path, job.number, "not better")
    assert renew(tmp_path, P, NOW) is not None


def test_who_asks_for_what_is_not_needed_waits_for_no_other_process(tmp_path: Path) -> None:
    version(tmp_path, 1, BEFORE)
    choose(tmp_path, P, "edgesam-c168a5b0-p27-v1")
    with connected(tmp_path):
        assert renew(tmp_path, P, BEFORE) is None


def test_the_one_that_waited_longest_is_claimed_and_no_other_gets_it(tmp_path: Path) -> None:
    first, second = enqueue(tmp_path, P, "one"), enqueue(tmp_path, Q, "two")
    claimed = claim(tmp_path)
    assert claimed is not None
    assert (claimed.number, claimed.state, claimed.attempts) == (first.number, "running", 1)
    assert claimed.started is not None
    assert [job.number for job in unfinished(tmp_path)] == [first.number, second.number]
    assert claim(tmp_path) is not None
    assert claim(tmp_path) is None


def test_a_job_tells_how_far_it_is_and_what_came_of_it(tmp_path: Path) -> None:
    job = enqueue(tmp_path, P, "one")
    claim(tmp_path)
    tell(tmp_path, job.number, "3 of 10 minutes")
    assert jobs(tmp_path)[0].told == "3 of 10 minutes"
    finish(tmp_path, job.number, "promoted")
    ended = jobs(tmp_path)[0]
    assert (ended.state, ended.told, ended.ended is not None) == ("done", "promoted", True)
    fail(tmp_path, enqueue(tmp_path, P, "two").number, "no images")
    assert jobs(tmp_path, P, last=1)[0].told == "no images"
    assert count_by_state(tmp_path) == {"queued": 0, "running": 0, "done": 1, "failed": 1}


def test_a_job_that_was_killed_is_tried_once_more(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    claim(tmp_path)
    requeue_interrupted(tmp_path)
    assert states(tmp_path) == [("queued", 1)]
    claim(tmp_path)
    requeue_interrupted(tmp_path)
    assert states(tmp_path) == [("failed", 2)]
    assert "2 times" in jobs(tmp_path)[0].told


def test_a_job_whose_process_was_asked_to_stop_loses_no_attempt(tmp_path: Path) -> None:
    job = enqueue(tmp_path, P, "one")
    claim(tmp_path)
    put_back(tmp_path, job.number)
    assert states(tmp_path) == [("queued", 0)]
    put_back(tmp_path, job.number)
    assert states(tmp_path) == [("queued", 0)]


@pytest.mark.parametrize("again", [put_back, lambda folder, _: requeue_interrupted(folder)])
def test_a_job_that_waits_again_does_what_another_one_waits_for(
    tmp_path: Path, again: Callable[[Path, int], None]
) -> None:
    job = enqueue(tmp_path, P, "one")
    claim(tmp_path)
    enqueue(tmp_path, P, "two")
    other = enqueue(tmp_path, Q, "three")
    again(tmp_path, job.number)
    assert [waiting.number for waiting in unfinished(tmp_path)] == [job.number, other.number]


def test_a_job_of_one_project_can_be_claimed(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    ours = enqueue(tmp_path, Q, "two")
    claimed = claim(tmp_path, Q)
    assert claimed is not None
    assert claimed.number == ours.number
    assert claim(tmp_path, Q) is None
    assert [job.state for job in jobs(tmp_path, P)] == ["queued"]


def test_jobs_are_told_newest_first_and_by_project(tmp_path: Path) -> None:
    numbers = [enqueue(tmp_path, project, "").number for project in (P, Q)]
    assert [job.number for job in jobs(tmp_path)] == numbers[::-1]
    assert [job.project for job in jobs(tmp_path, P)] == [P]
    assert jobs(tmp_path / "none") == []
