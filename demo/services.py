"""Programs that run beside us: started with a log of their own, waited for, stopped together with their children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

LOOPBACK = "127.0.0.1"
GRACE_SECONDS = 10.0
Answer = TypeVar("Answer")


class DemoError(Exception):
    """Something that the person who started us should know; the message says what to do."""


@dataclass(frozen=True)
class Service:
    """A started program. `address` is where it listens, such as http://127.0.0.1:8080."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def check_alive(self) -> None:
        """Raises DemoError with the end of the log when the program has ended."""
        code = self.process.poll()
        if code is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-20:]
            raise DemoError("\n".join([f"{self.name} ended with code {code}. The end of {self.log}:", *lines]))


@contextmanager
def running(
    name: str, command: Sequence[str | Path], environment: Mapping[str, str], address: str, log: Path
) -> Iterator[Service]:
    """Runs `command` in a process group of its own, which is stopped on the way out."""
    with log.open("wb") as lines:
        process = subprocess.Popen(  # noqa: S603  the commands are our own
            [str(word) for word in command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=lines,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Service(name, address, process, log)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
            process.wait(GRACE_SECONDS)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def patiently(ask: Callable[[], Answer | None], what: str, seconds: float) -> Answer:
    """Asks again and again until the answer is neither None nor False; raises TimeoutError naming `what`."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def wait_healthy(service: Service, seconds: float = 300) -> None:
    """Waits for GET /health to answer 200. Raises DemoError when the program ends or stays silent."""

    def healthy() -> bool:
        service.check_alive()
        try:
            return httpx.get(f"{service.address}/health", timeout=5).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    try:
        patiently(healthy, f"{service.name} at {service.address} answers", seconds)
    except TimeoutError as error:
        raise DemoError(f"{error}. Its log is {service.log}") from None


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
