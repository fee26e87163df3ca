"""Embeddings on disk, one file each: shared by processes, there after a restart, bounded in bytes.

A file is written beside its place and moved there, so nobody reads half of one; what is broken all the same counts as
not there and is removed. The one used least recently goes first: reading a file sets its time. A disk that is full or
cannot be written is a line in the log and nothing more.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from filelock import FileLock, Timeout

from backend.segmentation.engines import FEATURES, Embedding
from backend.segmentation.preprocess import Frame

HEAD = struct.Struct("<8sIII")
"""What begins a file: its kind, the image's width and height, the check sum of what follows: float16, little-endian."""
KIND = b"edgesam2"
ENDING, PART = ".embedding", ".part"
ABANDONED = 3600.0
"""Seconds after which nobody writes a part any more."""

LONGEST_WAIT = 10.0
"""Seconds to wait for a process that makes the same embedding; then both make it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EmbeddingFiles:
    """A folder of embeddings that take at most `limit_bytes`."""

    folder: Path
    limit_bytes: int

    def read(self, key: str) -> Embedding | None:
        """The embedding kept under `key`, or None."""
        place = self._place(key)
        try:
            content = place.read_bytes()
        except OSError:
            return None
        embedding = _embedding_in(content)
        with suppress(OSError):  # a disk that cannot be written, or another process was faster
            if embedding is None:
                log.warning("A kept embedding is broken and is made anew", file=str(place))
                place.unlink()
            else:
                os.utime(place)
        return embedding

    def write(self, key: str, embedding: Embedding) -> int:
        """Keep an embedding, and remove what there is then no room for. Returns how many were removed."""
        place = self._place(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(dir=self.folder, suffix=PART)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_content_of(embedding))
                Path(beside).replace(place)
            except BaseException:
                Path(beside).unlink(missing_ok=True)
                raise
            return self._make_room(place)
        except OSError as error:
            log.warning("An embedding cannot be kept on disk", folder=str(self.folder), error=str(error))
            return 0

    def holds(self, key: str) -> bool:
        """Whether there is a file under `key`."""
        return self._place(key).exists()

    def bytes(self) -> int:
        """What all files take."""
        return sum(size for _, size, _ in self._all())

    @contextmanager
    def making(self, key: str) -> Iterator[None]:
        """While one process makes the embedding of `key`, others that want to wait; where they cannot, they go on."""
        with ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = self.folder / f"{self._place(key).name[:3]}.lock"  # 4096 at most: nobody removes them
                held.enter_context(FileLock(lock, timeout=LONGEST_WAIT, poll_interval=0.01))
            except (OSError, NotImplementedError, Timeout) as error:
                log.debug("making an embedding without a lock", error=str(error))
            yield

    def _place(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}{ENDING}"

    def _make_room(self, newest: Path) -> int:
        files = sorted(self._all())
        held = sum(size for _, size, _ in files)
        removed = 0
        for _, size, path in files:
            if held <= self.limit_bytes:
                break
            if path != newest:
                path.unlink(missing_ok=True)
                held -= size
                removed += 1
        for written, _, path in self._all(PART):
            if written < time.time() - ABANDONED:  # whoever wrote it was killed
                path.unlink(missing_ok=True)
        return removed

    def _all(self, ending: str = ENDING) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, bytes and path of each file."""
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(ending):
                    with suppress(FileNotFoundError):  # another process removed it
                        found = entry.stat()
                        yield found.st_mtime, found.st_size, Path(entry.path)


def _content_of(embedding: Embedding) -> bytes:
    values = np.ascontiguousarray(embedding.features, "<f2").tobytes()
    return HEAD.pack(KIND, embedding.frame.width, embedding.frame.height, zlib.crc32(values)) + values


def _embedding_in(content: bytes) -> Embedding | None:
    """What a file holds; None where it is cut, broken or of another kind."""
    if len(content) != HEAD.size + 2 * int(np.prod(FEATURES)):
        return None
    kind, width, height, check = HEAD.unpack_from(content)
    if kind != KIND or check != zlib.crc32(memoryview(content)[HEAD.size :]):
        return None
    features = np.frombuffer(content, "<f2", offset=HEAD.size).reshape(FEATURES)
    return Embedding(features.astype(np.float16, copy=False), Frame(width, height))
