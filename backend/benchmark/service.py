"""The service that is measured: a process of its own, with a folder of its own for what it remembers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.benchmark.asking import connected, ready
from backend.benchmark.errors import BenchmarkError
from backend.benchmark.studio import LOOPBACK
from backend.segmentation.weights import WeightsFile

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("BASIC_AUTH_USER", "BASIC_AUTH_PASS", "EDGESAM_LOCAL_FILES_ROOT")
"""Settings that would stand in the way; all others of the environment count."""

START_SECONDS = 300
"""Longest wait for a start; the first one of all makes OpenVINO's graphs."""
STOP_SECONDS = 15
GLANCE_SECONDS = 0.01


@dataclass(frozen=True)
class Service:
    """address: where it listens. start: seconds from the start of the process to the first /ready."""

    address: str
    process: int
    start: float


def environment_of(weights: WeightsFile, folder: Path, label_studio: str) -> dict[str, str]:
    """The environment of the service: this one, but for what must not be shared with a service in use."""
    inherited = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    return inherited | {
        "MODEL_DIR": str(folder),
        "EDGESAM_WEIGHTS": str(weights.path.resolve()),
        "LABEL_STUDIO_URL": label_studio,
        "LABEL_STUDIO_API_KEY": "benchmark",
    }


@contextmanager
def started(environment: Mapping[str, str], log: Path) -> Iterator[Service]:
    """Runs the service and waits until it is ready. Raises BenchmarkError where it never is."""
    port = _free_port()
    command = [sys.executable, "-m", "backend", "serve", "--host", LOOPBACK, "--port", str(port)]
    address = f"http://{LOOPBACK}:{port}"
    with log.open("wb") as lines:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=lines, stderr=lines)  # noqa: S603
    try:
        _wait(process, address, log)
        yield Service(address, process.pid, time.perf_counter() - begun)
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    with connected(address) as client:
        while ready(client) is None:
            if process.poll() is not None:
                last = log.read_text(errors="replace").splitlines()[-1:]
                raise BenchmarkError(f"the service ended with code {process.returncode}: {''.join(last)}")
            if time.monotonic() > end:
                raise BenchmarkError(f"the service is not ready after {START_SECONDS} s")
            time.sleep(GLANCE_SECONDS)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as door:
        return int(door.getsockname()[1])
