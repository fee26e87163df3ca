"""What became of each project's accepted masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from backend.accepted import jobs
from backend.accepted.history import LAST_JOBS, change, histories
from backend.accepted.versions import choose, record
from tests.accepted.test_versions import P, Q, version


def test_each_project_has_its_own_newest_first(tmp_path: Path) -> None:
    assert histories(tmp_path) == []
    first, second, other = version(tmp_path, 1), version(tmp_path, 2), version(tmp_path, 1, Q)
    for one in (first, second, other):
        record(tmp_path, one)
    choose(tmp_path, P, first.name)
    for _ in range(LAST_JOBS + 1):
        jobs.finish(tmp_path, jobs.enqueue(tmp_path, Q, "because").number, "done")
    newest, oldest = histories(tmp_path)
    assert (newest.number, newest.project, newest.versions, newest.serving) == ("28", Q, [other], None)
    assert [job.number for job in newest.jobs] == [6, 5, 4, 3, 2]
    assert (oldest.number, oldest.versions, oldest.serving, oldest.jobs) == ("27", [second, first], first, [])


def test_figures_before_and_after_are_told_where_there_are_any(tmp_path: Path) -> None:
    figures = {"project_before": {"box": 61.04, "click1": 41.0}, "project_after": {"box": 71.0, "click1": 62.0}}
    made = replace(version(tmp_path, 1), metrics=figures)
    assert change(made, "project") == "61.0 / 41.0 -> 71.0 / 62.0"
    assert change(made, "general") == ""
