"""A project leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from backend.accepted import jobs
from backend.accepted.annotations import Annotation, accept, forget, projects
from backend.accepted.database import FILE, reading
from backend.accepted.forgetting import AtWorkError, forget_project
from backend.accepted.history import histories
from backend.accepted.versions import choices, choose, current, follow, record
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


def test_what_was_deleted_before_is_overwritten_too(tmp_path: Path) -> None:
    kept(tmp_path)
    forget(tmp_path, P, [1])
    assert f"{SECRET}?0".encode() not in b"".join(path.read_bytes() for path in tmp_path.glob(f"{FILE}*"))


def test_a_project_of_that_number_begins_anew(tmp_path: Path) -> None:
    kept(tmp_path)
    chosen = choices(tmp_path, Q)
    forget_project(tmp_path, P)
    with reading(tmp_path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table != "sqlite_sequence":
                assert connection.execute(f"SELECT count(*) FROM {table} WHERE project = ?", (P,)).fetchone()[0] == 0
                assert connection.execute(f"SELECT count(*) FROM {table} WHERE project = ?", (Q,)).fetchone()[0] == 1
    assert choices(tmp_path, Q) == chosen
    record(tmp_path, version(tmp_path, 1))
    assert current(tmp_path, P) is None, "it does not serve since one of its number did"


def test_it_stays_while_a_job_learns_from_it(tmp_path: Path) -> None:
    kept(tmp_path)
    number = jobs.enqueue(tmp_path, P, "because").number
    jobs.claim(tmp_path)
    with FileLock(tmp_path / jobs.LOCK):
        with pytest.raises(AtWorkError, match=f"job {number} "):
            forget_project(tmp_path, P)
        assert set(projects(tmp_path)) == {P, Q}
        assert (tmp_path / "versions" / P).is_dir()
        forget_project(tmp_path, Q)
    assert projects(tmp_path) == [P]


def test_a_job_that_was_killed_does_not_keep_it(tmp_path: Path) -> None:
    kept(tmp_path)
    jobs.enqueue(tmp_path, P, "because")
    jobs.claim(tmp_path)
    forget_project(tmp_path, P)
    assert projects(tmp_path) == [Q]


def test_a_file_that_cannot_be_deleted_is_told_and_it_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(tmp_path)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("backend.accepted.forgetting.shutil.rmtree", refuse)
    with pytest.raises(PermissionError):
        forget_project(tmp_path, P)
    monkeypatch.undo()
    assert P in projects(tmp_path)
    forget_project(tmp_path, P)
    assert projects(tmp_path) == [Q]


@pytest.mark.parametrize("name", ["", "..", "27/../28.5"])
def test_what_names_no_project_deletes_nothing(tmp_path: Path, name: str) -> None:
    kept(tmp_path)
    with pytest.raises(ValueError, match="names no project"):
        forget_project(tmp_path, name)
    assert {path.name for path in (tmp_path / "versions").iterdir()} == {P, Q}
