"""The file: whole transactions, many processes, no power cut."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.accepted import database
from backend.accepted.database import FILE, SCHEMA, connected, reading
from backend.accepted.jobs import enqueue, jobs
from backend.accepted.versions import choices

P = "27.1795354711"


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write_and_fail() -> None:
        with connected(tmp_path) as connection:
            connection.execute("INSERT INTO named VALUES ('1.2', 'v1')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    with reading(tmp_path) as connection:
        assert connection.execute("SELECT * FROM named").fetchall() == []


def test_it_is_written_ahead_and_to_the_disk(tmp_path: Path) -> None:
    with connected(tmp_path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2, "FULL"


def test_many_threads_make_the_file_at_once_and_none_is_refused(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda number: enqueue(tmp_path, f"{number}.1", "at once").number, range(32)))
    assert sorted(made) == list(range(1, 33))


def test_what_was_committed_is_there_after_a_kill(tmp_path: Path) -> None:
    writes = (
        "import sys; from pathlib import Path; from backend.accepted.jobs import enqueue; "
        "folder = Path(sys.argv[1])\n"
        "for number in range(1, 10**6): print(enqueue(folder, f'{number}.1', 'before the kill').number, flush=True)"
    )
    with subprocess.Popen([sys.executable, "-c", writes, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    assert {job.number for job in jobs(tmp_path, last=10**6)} >= set(told)
    with reading(tmp_path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    enqueue(tmp_path, P, "afterwards")


def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    with connected(tmp_path) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    for way in (connected, reading):
        with pytest.raises(sqlite3.DatabaseError, match=f"{FILE} was written by a newer release"), way(tmp_path):
            pass


def test_a_file_without_tables_is_read_as_empty_and_at_once_though_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE).touch()
    made: list[sqlite3.Connection] = []
    monkeypatch.setattr(database, "_make_tables", made.append)
    with reading(tmp_path) as connection:
        assert connection.execute("SELECT * FROM named").fetchall() == []
    assert (made, (tmp_path / FILE).stat().st_size) == ([], 0)


@pytest.mark.parametrize("make", [lambda place: place.write_text("no database" * 99), Path.mkdir])
def test_a_file_that_is_none_is_named(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / FILE)
    with pytest.raises(sqlite3.DatabaseError, match=FILE), reading(tmp_path):
        pass


def test_a_file_of_schema_1_is_read_as_it_is_and_gets_what_is_new_when_it_is_written(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "before")
    with sqlite3.connect(tmp_path / FILE) as before:
        before.execute("DROP TABLE chosen")
        before.execute("PRAGMA user_version = 1")
    assert [job.reason for job in jobs(tmp_path)] == ["before"]
    assert choices(tmp_path, P) == 0
    assert [job.reason for job in jobs(tmp_path)] == ["before"]
