"""Jobs run in a process of their own, of which there is one on a machine: this starts it, and ends it with the service.

Every worker of the service has a runner. The process takes a lock and works until nothing waits; where another
worker's process has the lock, this one waits for it to end, and looks again.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from backend.accepted.jobs import LOCK, unfinished
from backend.settings import Settings

AGAIN_SECONDS = 3.0
"""Between two looks at the lock of another worker's process."""
STOP_SECONDS = 5.0
"""The process gets so long to put its job back."""

log = structlog.stdlib.get_logger("edgesam.learning")


class Runner:
    """folder: MODEL_DIR. command: does the jobs that wait in MODEL_DIR, one after the other, and ends."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self._folder = folder
        self._command = command
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._changing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def wake(self) -> None:
        """A job may wait. Returns at once."""
        with self._changing:
            self._woken.set()
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._work, name="runner", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the process, whose job then waits for the next start. Returns when it has ended."""
        with self._changing:
            self._stopping.set()
            self._woken.set()
            process = self._process
        if process:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._thread:
            self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait()
            self._woken.clear()
            try:
                self._until_none_waits()
            except (OSError, sqlite3.Error) as error:
                log.error("learning_cannot_start", message=str(error))

    def _until_none_waits(self) -> None:
        while not self._stopping.is_set() and (before := unfinished(self._folder)):
            if not self._is_free():
                self._stopping.wait(AGAIN_SECONDS)
                continue
            code = self._run()
            if self._stopping.is_set() or unfinished(self._folder) != before:
                continue
            if code:
                log.error("learning_gives_up", exit=code, jobs=[job.number for job in before])
                return  # it ended before it began anything: the next job or start tries again
            self._stopping.wait(AGAIN_SECONDS)  # another worker's process was faster

    def _is_free(self) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / LOCK, timeout=0):
                return True
        except Timeout:
            return False

    def _run(self) -> int:
        """Its output is the service's; its session its own, so that Ctrl-C reaches it by `stop` alone."""
        environment = os.environ | {"MODEL_DIR": str(self._folder)}
        with self._changing:
            if self._stopping.is_set():
                return 0
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self._command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
            )
        log.info("learning_started", pid=self._process.pid)
        code = self._process.wait()
        with self._changing:
            self._process = None
        return code


def runner_of(settings: Settings) -> Runner:
    """Runs `python -m backend learn`."""
    return Runner(settings.model_dir, (sys.executable, "-m", "backend", "learn"))
