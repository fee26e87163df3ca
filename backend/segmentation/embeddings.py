"""Embeddings kept in memory: bounded in bytes, least recently used first out, computed once however many ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace

from backend.segmentation.predictor import Embedding


@dataclass(frozen=True, slots=True)
class CacheFigures:
    """What a cache did so far, and what it holds now."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    bytes: int = 0
    entries: int = 0


class EmbeddingCache:
    """Safe from many threads. `limit_bytes` bounds what is kept; the newest embedding is always kept."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._running: dict[str, Future[Embedding]] = {}
        self._figures = CacheFigures()

    @property
    def figures(self) -> CacheFigures:
        with self._lock:
            return replace(self._figures, entries=len(self._kept))

    def get(self, key: str, compute: Callable[[], Embedding]) -> Embedding:
        """The embedding under `key`; where it is missing, the first caller computes it and all others wait for that.

        What `compute` raises reaches every caller who waited; nothing is kept then.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                self._figures = replace(self._figures, hits=self._figures.hits + 1)
                return self._kept[key]
            running = self._running.get(key)
            if running is None:
                ours = self._running[key] = Future()
                self._figures = replace(self._figures, misses=self._figures.misses + 1)
            else:
                self._figures = replace(self._figures, hits=self._figures.hits + 1)
        if running is not None:
            return running.result()
        return self._computed(key, compute, ours)

    def _computed(self, key: str, compute: Callable[[], Embedding], ours: Future[Embedding]) -> Embedding:
        try:
            embedding = compute()
        except BaseException as error:
            with self._lock:
                del self._running[key]
            ours.set_exception(error)
            raise
        with self._lock:
            del self._running[key]
            self._keep(key, embedding)
        ours.set_result(embedding)
        return embedding

    def _keep(self, key: str, embedding: Embedding) -> None:
        self._kept[key] = embedding
        held = self._figures.bytes + embedding.features.nbytes
        evictions = self._figures.evictions
        while held > self._limit and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            held -= oldest.features.nbytes
            evictions += 1
        self._figures = replace(self._figures, bytes=held, evictions=evictions)
