"""Label Studio's part: it has tasks, and gives their images to whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from backend.benchmark.photographs import Photograph, Size, fresh, somewhere
from backend.segmentation.prompts import Point

LOOPBACK = "127.0.0.1"
UPLOADS = "/data/upload/1/"


@dataclass(frozen=True, slots=True)
class Task:
    """A task of Label Studio with one image. address: of the image, as the task's data has it."""

    number: int
    photograph: Photograph
    address: str


@dataclass(frozen=True)
class Studio:
    """Makes tasks, each with a photograph of its own.

    originals: the photographs to make others from. folder: where they are put, and served from.
    prefix: of the addresses; empty where the backend knows Label Studio's address.
    """

    originals: Sequence[Path]
    folder: Path
    prefix: str
    chance: np.random.Generator

    def task(self, size: Size) -> Task:
        """A task whose image nobody has seen."""
        photograph = fresh(self.originals, size, self.folder, self.chance)
        number = int(self.chance.integers(1, 2**31))
        return Task(number, photograph, f"{self.prefix}{UPLOADS}{photograph.path.name}")

    def point(self, task: Task) -> Point:
        """Where the annotator clicks, in pixels."""
        return somewhere(task.photograph, self.chance)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serves the files of `folder` as uploads, on loopback; yields the address."""

    class Uploads(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            file = folder / self.path.rpartition("/")[2]
            if not self.path.startswith(UPLOADS) or not file.is_file():
                self.send_error(404)
                return
            body = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nobody reads it."""

    with ThreadingHTTPServer((LOOPBACK, 0), Uploads) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
