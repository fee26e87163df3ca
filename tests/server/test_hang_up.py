"""A caller who hangs up."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from numpy.typing import NDArray
from structlog.testing import capture_logs

from backend.segmentation.engines import Embedding, Floats
from backend.server.app import create_app
from backend.server.loading import Loading
from backend.settings import Settings, read_settings
from demo.services import patiently
from tests.benchmark.standins import listening
from tests.server.standins import WEIGHTS, DiscEngine, IdleRunner, body, click, picture

OBJECTS = 8


class WatchedEngine(DiscEngine):
    """Waits within its first answer; counts all."""

    def __init__(self) -> None:
        self.answers, self.begun, self.go_on = 0, threading.Event(), threading.Event()

    def decode(self, embedding: Embedding, coordinates: Floats, labels: NDArray[Any], low_res: Floats | None) -> Floats:
        self.answers += 1
        self.begun.set()
        assert self.go_on.wait(30)
        return super().decode(embedding, coordinates, labels, low_res)


def test_nothing_more_is_computed_for_who_hung_up(tmp_path: Path) -> None:
    engine = WatchedEngine()

    def load(_settings: Settings) -> Loading:
        loading = Loading("standin")
        loading.weights.set_result(WEIGHTS)
        loading.ready.set_result(engine)
        return loading

    tasks = orjson.dumps(body(picture(), click(), count=OBJECTS))
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(tasks)}\r\n\r\n".encode()
    app = create_app(read_settings(model_dir=tmp_path), load, IdleRunner)
    with capture_logs() as lines, listening(app) as address:
        with socket.create_connection(("127.0.0.1", urlsplit(address).port or 0)) as caller:
            caller.sendall(head + tasks)
            assert engine.begun.wait(30)
        settled = socket.create_connection(("127.0.0.1", urlsplit(address).port or 0))
        settled.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert settled.recv(100)  # the hang-up came before this did
        settled.close()
        engine.go_on.set()
        line = patiently(lambda: next((one for one in lines if one.get("path") == "/predict"), None), "its line", 30)
    assert line["status"] == 499
    assert engine.answers == 1
