"""A project leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.accepted import jobs
from backend.accepted.annotations import Annotation, accept, projects
from backend.accepted.database import FILE
from backend.accepted.forgetting import AtWorkError, forget_project
from backend.accepted.history import histories
from backend.accepted.versions import choose, follow, record
from tests.accepted.test_versions import P, Q, version

SECRET = "the-patient-s-name.jpg"


def kept(folder: Path) -> None:
    """Two projects, of which everything is known that can be."""
    for number, project in enumerate((P, Q)):
        made = version(folder, 1, project)
        record(folder, made)
        choose(folder, project, made.name)
        follow(folder, project, made.name, "base")
        data = {"image": f"{SECRET}?{number}"}
        accept(folder, [Annotation(project, 1, 1, data, [{"type": "brushlabels"}], "2026-11-22T13:38:31Z")])
        jobs.finish(folder, jobs.enqueue(folder, project, "because").number, "done")


def test_nothing_of_it_is_left_and_others_stay(tmp_path: Path) -> None:
    kept(tmp_path)
    [other] = [history for history in histories(tmp_path) if history.project == Q]
    forget_project(tmp_path, P)
    assert projects(tmp_path) == [Q]
    assert histories(tmp_path) == [other]
    assert [path.name for path in (tmp_path / "versions").iterdir()] == [Q]
    held = b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))
    assert f"{SECRET}?1".encode() in held
    assert f"{SECRET}?0".encode() not in held, "deleted rows are overwritten"


def test_it_stays_while_a_job_learns_from_it(tmp_path: Path) -> None:
    kept(tmp_path)
    number = jobs.enqueue(tmp_path, P, "because").number
    jobs.claim(tmp_path)
    with pytest.raises(AtWorkError, match=f"job {number} "):
        forget_project(tmp_path, P)
    assert set(projects(tmp_path)) == {P, Q}
    assert (tmp_path / "versions" / P).is_dir()
