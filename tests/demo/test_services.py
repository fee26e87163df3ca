"""Programs beside us: their end is told, their children end with them, a busy port is seen."""

import os
import socket
import sys
from pathlib import Path

import pytest

from demo.services import LOOPBACK, DemoError, is_free, patiently, running, wait_healthy


def program(code):
    return [sys.executable, "-c", code]


def gone(pid):
    """Whether the process has ended; one that nobody has collected yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_program_that_dies_is_told_with_the_end_of_its_log(tmp_path):
    code = "print('no such table'); raise SystemExit(3)"
    log = tmp_path / "log"
    with (
        running("Label Studio", program(code), os.environ, "http://127.0.0.1:1", log) as service,
        pytest.raises(DemoError, match=r"Label Studio ended with code 3(.|\n)*no such table"),
    ):
        wait_healthy(service)


def test_a_silent_program_is_given_up(tmp_path):
    code = "import signal; signal.pause()"
    with (
        running("Label Studio", program(code), os.environ, "http://127.0.0.1:1", tmp_path / "log") as service,
        pytest.raises(DemoError, match="not within 0 s"),
    ):
        wait_healthy(service, seconds=0)


def test_children_end_with_the_program(tmp_path):
    code = "import os, signal; child = os.fork(); child and print(child, flush=True); signal.pause()"
    log = tmp_path / "log"
    with running("Parent", program(code), os.environ, "http://127.0.0.1:1", log) as service:
        child = int(patiently(lambda: log.read_text().strip() or None, "the child's number", 30))
        assert not gone(child)
    assert service.process.poll() is not None
    patiently(lambda: gone(child), "the child has ended", 30)


def test_a_program_that_ignores_the_first_sign_is_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr("demo.services.GRACE_SECONDS", 0.5)
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); signal.pause(); signal.pause()"
    log = tmp_path / "log"
    with running("Deaf", program(code), os.environ, "http://127.0.0.1:1", log) as service:
        patiently(lambda: log.read_text() or None, "it runs", 30)
    assert service.process.returncode == -9


def test_a_port_is_free_until_somebody_listens():
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        port = other.getsockname()[1]
        other.listen()
        assert not is_free(port)
    assert is_free(port)
