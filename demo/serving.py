"""Starts this project's backend as `make serve` does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from demo.services import LOOPBACK, Service, running, wait_healthy

REPOSITORY = Path(__file__).parent.parent
# On loopback for one Label Studio: no password, whatever the person's own environment says.
LEFT_OUT = ("BASIC_AUTH_USER", "BASIC_AUTH_PASS", "HOST", "PORT")


@contextmanager
def backend(port: int, settings: Mapping[str, str], log: Path) -> Iterator[Service]:
    """The backend on loopback with `settings` over the environment; yields when it answers."""
    command = [sys.executable, "-m", "backend", "serve", "--host", LOOPBACK, "--port", str(port)]
    inherited = {name: value for name, value in os.environ.items() if name not in LEFT_OUT}
    environment = inherited | {"PYTHONPATH": str(REPOSITORY)} | dict(settings)
    with running("The backend", command, environment, f"http://{LOOPBACK}:{port}", log) as service:
        wait_healthy(service)
        yield service
