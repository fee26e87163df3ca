"""The process that does jobs: one, as long as any wait, and never longer than the service."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from backend.accepted.jobs import LOCK, enqueue, jobs
from backend.server import runner as module
from backend.server.app import create_app
from backend.server.runner import Runner
from backend.settings import read_settings
from tests.server.standins import loaded

P, Q = "27.1795354711", "28.1800000000"

WORKER = """
import os, sys
from pathlib import Path
from filelock import FileLock
from backend.accepted.jobs import LOCK, claim, finish, put_back, requeue_interrupted
folder = Path(os.environ["MODEL_DIR"])
with open(folder / "starts", "a") as starts: print(os.getpid(), file=starts)
lock = FileLock(folder / LOCK, timeout=0)
lock.acquire()
requeue_interrupted(folder)
while job := claim(folder):
    {work}
    finish(folder, job.number, "done by a test")
"""
CRASH_ONCE = "if job.attempts == 1: os._exit(9)"
CRASH = "os._exit(9)"
FOR_EVER = """
    import signal
    def stop(*_):
        put_back(folder, job.number)
        sys.exit(1)
    signal.signal(signal.SIGTERM, stop)
    (folder / "at work").touch()
    while True: signal.pause()
"""


def worker(work: str = "pass") -> tuple[str, ...]:
    return sys.executable, "-c", WORKER.replace("{work}", work.strip())


@contextmanager
def running(folder: Path, command: tuple[str, ...]) -> Iterator[Runner]:
    runner = Runner(folder, command)
    try:
        yield runner
    finally:
        runner.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.05)


def settled(condition: Callable[[], object]) -> None:
    give_up = threading.Event()
    for _ in range(3000):
        if condition():
            return
        give_up.wait(0.01)
    assert condition()


def states(folder: Path) -> list[tuple[str, int]]:
    return [(job.state, job.attempts) for job in reversed(jobs(folder))]


def starts(folder: Path) -> int:
    file = folder / "starts"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_jobs_are_done_by_one_process_after_the_other(tmp_path: Path) -> None:
    with running(tmp_path, worker()) as runner:
        runner.wake()
        enqueue(tmp_path, P, "one")
        enqueue(tmp_path, Q, "two")
        runner.wake()
        settled(lambda: states(tmp_path) == [("done", 1)] * 2)
        assert starts(tmp_path) == 1
        enqueue(tmp_path, P, "three")
        runner.wake()
        settled(lambda: states(tmp_path) == [("done", 1)] * 3)


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    with running(tmp_path, worker(CRASH_ONCE)) as runner:
        runner.wake()
        settled(lambda: states(tmp_path) == [("done", 2)])
        assert starts(tmp_path) == 2


def test_a_job_that_kills_its_process_fails_and_the_next_is_done(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    enqueue(tmp_path, Q, "two")
    with running(tmp_path, worker(f"if job.project == {P!r}: {CRASH}")) as runner:
        runner.wake()
        settled(lambda: states(tmp_path) == [("failed", 2), ("done", 1)])


def test_a_process_that_begins_nothing_is_not_started_for_ever(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    with capture_logs() as lines, running(tmp_path, (sys.executable, "-c", "raise SystemExit(3)")) as runner:
        runner.wake()
        settled(lambda: any(line["event"] == "learning_gives_up" for line in lines))
    assert [line["event"] for line in lines].count("learning_started") == 1
    assert states(tmp_path) == [("queued", 0)]


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    with capture_logs() as lines, running(tmp_path, ("/no/such/command",)) as runner:
        runner.wake()
        settled(lambda: any(line["event"] == "learning_cannot_start" for line in lines))
        runner.wake()
        settled(lambda: [line["event"] for line in lines].count("learning_cannot_start") == 2)


def test_while_another_process_is_at_it_none_is_started(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    with running(tmp_path, worker()) as runner:
        with FileLock(tmp_path / LOCK):
            runner.wake()
            threading.Event().wait(0.3)
            assert starts(tmp_path) == 0
        settled(lambda: states(tmp_path) == [("done", 1)])


def test_the_end_of_the_service_puts_a_job_back(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "one")
    with running(tmp_path, worker(FOR_EVER)) as runner:
        runner.wake()
        settled((tmp_path / "at work").exists)
    assert states(tmp_path) == [("queued", 0)]
    pid = int((tmp_path / "starts").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    runner.wake()
    assert starts(tmp_path) == 1, "what has ended starts nothing"


def test_a_process_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.1)
    enqueue(tmp_path, P, "one")
    with running(tmp_path, worker(FOR_EVER.replace("sys.exit(1)", "pass"))) as runner:
        runner.wake()
        settled((tmp_path / "at work").exists)
    pid = int((tmp_path / "starts").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_jobs_that_waited_for_the_service_are_done_when_it_starts(tmp_path: Path) -> None:
    enqueue(tmp_path, P, "before the start")
    settings = read_settings(model_dir=tmp_path)
    with TestClient(create_app(settings, loaded, lambda _settings: Runner(tmp_path, worker()))):
        settled(lambda: states(tmp_path) == [("done", 1)])
