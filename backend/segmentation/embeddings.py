"""Embeddings that are known: in memory, then on disk, else computed once however many ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from backend.segmentation.embedding_files import EmbeddingFiles
from backend.segmentation.engines import Embedding
from backend.segmentation.turns import Turn, Turns


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What a cache did so far, and what it holds now.

    hits: answered from memory, or by a computation that ran already. disk_hits: reread. misses: computed.
    evictions, disk_evictions: given up for lack of room. bytes, entries: in memory. waiting: computations
    that stand in line.
    """

    hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    evictions: int = 0
    disk_evictions: int = 0
    bytes: int = 0
    entries: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Running:
    """A computation on its way, and its place in the line."""

    turn: Turn
    result: Future[Embedding] = field(default_factory=Future)


class EmbeddingCache:
    """Safe from many threads. The newest embedding is always kept in memory, `limit_bytes` bounds the others there.

    Computations take turns, urgent ones first; `files` has what is kept on disk, for other processes too.
    """

    def __init__(self, limit_bytes: int, files: EmbeddingFiles | None = None) -> None:
        self.files = files
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._running: dict[str, _Running] = {}
        self._turns = Turns()
        self._figures = CacheFigures()

    @property
    def figures(self) -> CacheFigures:
        with self._lock:
            return replace(self._figures, entries=len(self._kept), waiting=self._turns.waiting)

    def get(self, key: str, compute: Callable[[], Embedding], urgent: bool = True, lasting: bool = True) -> Embedding:
        """The embedding under `key`; where it is missing, the first caller computes it and all others wait for that.

        lasting: it may be wanted on another day, and is kept on disk too. urgent: somebody waits for it; computations
        that are not give way, and become urgent when a caller that is urgent wants the same. What `compute` raises
        reaches every caller who waited; nothing is kept then.
        """
        with self._lock:
            found = self._found(key, urgent)
            if found is None:
                ours = self._running[key] = _Running(Turn(urgent))
        if isinstance(found, Embedding):
            return found
        if found is not None:
            return found.result.result()
        with self._settled(key, ours):
            embedding = self._reread(key) or self._computed(key, compute, ours.turn, lasting)
            ours.result.set_result(embedding)
        return embedding

    def known(self, key: str, urgent: bool = True) -> Embedding | None:
        """The embedding under `key` where it is in memory, on disk or on its way; None where it is not."""
        with self._lock:
            found = self._found(key, urgent)
        if isinstance(found, Embedding):
            return found
        return found.result.result() if found is not None else self._reread(key)

    def _found(self, key: str, urgent: bool) -> Embedding | _Running | None:
        found = self._kept.get(key) or self._running.get(key)
        if found is not None:
            self._count(hits=1)
        if isinstance(found, Embedding):
            self._kept.move_to_end(key)
        elif found is not None and urgent:
            self._turns.lift(found.turn)
        return found

    @contextmanager
    def _settled(self, key: str, ours: _Running) -> Iterator[None]:
        """Whatever happens inside, nobody waits for ever."""
        try:
            yield
        except BaseException as error:
            ours.result.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._running[key]

    def _reread(self, key: str) -> Embedding | None:
        embedding = self.files.read(key) if self.files else None
        if embedding is not None:
            with self._lock:
                self._count(disk_hits=1)
                self._keep(key, embedding)
        return embedding

    def _computed(self, key: str, compute: Callable[[], Embedding], turn: Turn, lasting: bool) -> Embedding:
        if self.files is None or not lasting:
            return self._made(key, compute, turn)
        with self.files.making(key):
            if found := self._reread(key):  # another process made it meanwhile
                return found
            embedding = self._made(key, compute, turn)
            removed = self.files.write(key, embedding)
        with self._lock:
            self._count(disk_evictions=removed)
        return embedding

    def _made(self, key: str, compute: Callable[[], Embedding], turn: Turn) -> Embedding:
        with self._lock:
            self._count(misses=1)
        with self._turns.taken(turn):
            embedding = compute()
        with self._lock:
            self._keep(key, embedding)
        return embedding

    def _keep(self, key: str, embedding: Embedding) -> None:
        if known := self._kept.pop(key, None):
            self._count(bytes=-known.features.nbytes)
        self._kept[key] = embedding
        self._count(bytes=embedding.features.nbytes)
        while self._figures.bytes > self._limit and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._count(bytes=-oldest.features.nbytes, evictions=1)

    def _count(self, **more: int) -> None:
        self._figures = replace(
            self._figures, **{name: getattr(self._figures, name) + change for name, change in more.items()}
        )
