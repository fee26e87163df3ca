"""Gunicorn with uvicorn's workers: processes on one port, restarted when they die, stopped within ten seconds."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gunicorn.glogging
from gunicorn.app.base import BaseApplication
from uvicorn_worker import UvicornWorker

from backend.cores import usable_cores
from backend.server.logs import configure
from backend.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI  # the process that starts the others does without: 7 MiB less

STOP_SECONDS = 8
"""Requests get so long to finish; Docker kills after ten."""

SILENT_SECONDS = 120
"""A process whose event loop does not run for so long is replaced."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - not a guess at /tmp: Linux's own, there on read-only root file systems


M_ARENA_MAX = -8
"""malloc.h: how many arenas there may be."""

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Prometheus's library looks here for the folder in which several processes count together."""


class ServeError(Exception):
    """The service cannot start; the message says why, in one line."""


def serve(settings: Settings) -> None:
    """Serve until a signal ends it. Raises ServeError where the address cannot be had."""
    configure(settings.log_level)
    _share_the_cores(settings.workers)
    _share_memory()
    door, counted = _listening(settings.host, settings.port), None
    if settings.workers > 1:
        counted = os.environ[METRICS_FOLDER] = tempfile.mkdtemp(prefix="edgesam-metrics-", dir=_scratch())
    _Gunicorn(settings, door.detach(), counted).run()  # gunicorn closes it


def _scratch() -> str | None:
    return str(SHARED_MEMORY) if os.access(SHARED_MEMORY, os.W_OK) else None


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror  # below 0: of a name
        raise ServeError(
            f"cannot listen on {host}:{port}: {reason}. Stop what listens there, or choose others with HOST and PORT"
        ) from error


def _share_the_cores(workers: int) -> None:
    """Each process computes with its share of the cores, and its threads sleep while they wait for each other.

    OpenMP's threads spin by default: where anything else wants the cores, a click then takes ten times as long. Both
    variables are read when torch is imported, and stay as they are where somebody has set them.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _share_memory() -> None:
    """Threads allocate from two places, not from one each, of which every one keeps what large arrays leave behind:
    80 MiB less with eight threads. Only glibc knows this; elsewhere nothing happens."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    """counted: the folder that was made for metrics; it goes with the service."""

    def __init__(self, settings: Settings, door: int, counted: str | None) -> None:
        self.settings, self.door, self.counted = settings, door, counted
        super().__init__()

    def load_config(self) -> None:
        for name, value in {
            "bind": f"fd://{self.door}",
            "workers": self.settings.workers,
            "worker_class": Worker,
            "worker_tmp_dir": _scratch(),
            "timeout": SILENT_SECONDS,
            "graceful_timeout": STOP_SECONDS,
            "control_socket_disable": True,
            "logger_class": Log,
            "child_exit": _forget,
            "on_exit": self._tidy,
            "proc_name": "edgesam-ls-backend",
        }.items():
            self.cfg.set(name, value)

    def _tidy(self, _server: Any) -> None:
        """Called once, when the last process has ended."""
        if self.counted:
            shutil.rmtree(self.counted, ignore_errors=True)

    def load(self) -> Callable[..., Any]:
        """Called in each process, after the fork: torch's threads would not survive one."""
        from backend.server.app import create_app

        app: FastAPI = create_app(self.settings)
        return app


class Worker(UvicornWorker):  # type: ignore[misc]
    """Our own log lines instead of uvicorn's for each request."""

    CONFIG_KWARGS = {"loop": "auto", "http": "auto", "access_log": False, "timeout_graceful_shutdown": STOP_SECONDS - 1}  # noqa: RUF012 - the base class's shape


class Log(gunicorn.glogging.Logger):  # type: ignore[misc]
    """Gunicorn's lines go where all others go."""

    def setup(self, _cfg: Any) -> None:
        self.error_log.propagate = True
        self.error_log.handlers = []
        self.access_log.handlers = []
        self.error_log.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """At every end gunicorn finds its socket closed already, by uvloop, and says that this is an error."""
    return not record.getMessage().startswith("Error while closing socket")


def _forget(_server: Any, worker: Any) -> None:
    """What a dead process held no longer counts."""
    if METRICS_FOLDER in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
