"""The service as a process: how it starts, lives and ends."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image

from backend.server.serving import ServeError, serve
from backend.settings import read_settings
from tests.server.standins import body, click

ROOT = Path(__file__).parent.parent.parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return int(door.getsockname()[1])


@contextmanager
def served(tmp_path: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A process that serves; its log goes to tmp_path/log. It listens before it has anything else to do."""
    port = free_port()
    command = [sys.executable, "-m", "backend", "serve", "--host", "127.0.0.1", "--port", str(port)]
    variables = {"PATH": os.environ["PATH"], "MODEL_DIR": str(tmp_path / "models"), **environment}
    with (
        subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "Listening at" in line:
                    break
            yield process, client
        finally:
            process.terminate()  # not kill: the processes below it would stay
            process.wait(20)


def test_it_starts_answers_and_stops_within_ten_seconds(tmp_path: Path) -> None:
    with served(tmp_path, EDGESAM_WEIGHTS="/no/such.safetensors") as (process, client):
        assert client.get("/health").json()["status"] == "UP"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "closing socket" not in process.stderr.read(), "an end is no error"


def test_a_click_that_is_being_answered_gets_its_answer_before_the_end(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(buffer, "PNG")
    stop: list[subprocess.Popen[str]] = []

    class Pictures(BaseHTTPRequestHandler):
        """Ends the service at the moment when it asks for the picture."""

        def do_GET(self) -> None:
            stop[0].send_signal(signal.SIGTERM)
            self.send_response(200)
            self.send_header("Content-Length", str(len(buffer.getvalue())))
            self.end_headers()
            self.wfile.write(buffer.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as pictures,
        served(tmp_path, EDGESAM_WEIGHTS="edgesam") as (process, client),
    ):
        stop.append(process)
        threading.Thread(target=pictures.serve_forever, daemon=True).start()
        asked = body(f"http://127.0.0.1:{pictures.server_port}/red.png", click())
        answer = client.post("/predict", json=asked)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["results"]) == 1
        assert process.wait(20) == 0
        pictures.shutdown()


def test_weights_that_fail_leave_the_service_up_and_the_log_says_why(tmp_path: Path) -> None:
    with served(tmp_path, EDGESAM_WEIGHTS="/no/such.safetensors") as (process, client):
        assert client.get("/health").status_code == 200
        assert process.stderr is not None
        line = next(line for line in process.stderr if "weights_failed" in line)
        assert "/no/such.safetensors" in line
        assert client.get("/ready").status_code == 503
        assert client.post("/setup", json={}).status_code == 503
        assert client.get("/health").status_code == 200


def test_a_folder_for_metrics_that_was_given_stays_at_the_end(tmp_path: Path) -> None:
    given = tmp_path / "metrics"
    given.mkdir()
    with served(tmp_path, EDGESAM_WEIGHTS="/no/such.safetensors", PROMETHEUS_MULTIPROC_DIR=str(given)) as (_, client):
        client.get("/health")
    assert given.is_dir()


def test_several_processes_count_together_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    with served(tmp_path, EDGESAM_WEIGHTS="/no/such.safetensors", WORKERS="2") as (process, client):
        assert process.stderr is not None
        booted = (line for line in process.stderr if "Booting worker" in line)
        next(booted)
        next(booted)
        for _ in range(20):
            client.get("/health", headers={"Connection": "close"})
        counted = 'edgesam_requests_total{method="GET",path="/health",status="200"} 20.0'
        assert counted in client.get("/metrics").text
        victim = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        os.kill(victim, signal.SIGKILL)
        next(booted)
        for _ in range(20):
            assert client.get("/health", headers={"Connection": "close"}).status_code == 200


def test_a_busy_port_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = str(door.getsockname()[1])
        command = [sys.executable, "-m", "backend", "serve", "--host", "127.0.0.1", "--port", port]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use.")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_told(tmp_path: Path, host: str) -> None:
    with pytest.raises(ServeError, match=f"cannot listen on {host}:"):
        serve(read_settings(model_dir=tmp_path, host=host, port=free_port()))
