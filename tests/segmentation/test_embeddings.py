import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from backend.segmentation.embedding_files import EmbeddingFiles
from backend.segmentation.embeddings import EmbeddingCache
from backend.segmentation.engines import Embedding
from backend.segmentation.preprocess import Frame


def embedding(value: float = 0.0) -> Embedding:
    return Embedding(np.full((4096, 256), value, np.float16), Frame(8, 8))


SIZE = embedding().features.nbytes


def test_what_is_known_is_not_computed_again() -> None:
    cache = EmbeddingCache(10 * SIZE)
    first = cache.get("a", embedding)
    assert cache.get("a", lambda: pytest.fail("computed twice")) is first
    assert (cache.figures.hits, cache.figures.misses, cache.figures.entries) == (1, 1, 1)


def test_the_least_recently_used_goes_first() -> None:
    cache = EmbeddingCache(2 * SIZE)
    for key in "aba":
        cache.get(key, embedding)
    cache.get("c", embedding)
    cache.get("a", lambda: pytest.fail("a was used last"))
    assert cache.get("b", lambda: embedding(7)).features[0, 0] == 7
    assert cache.figures.evictions == 2
    assert cache.figures.bytes == 2 * SIZE


def test_the_newest_is_kept_whatever_the_limit() -> None:
    cache = EmbeddingCache(1)
    cache.get("a", embedding)
    cache.get("b", embedding)
    assert cache.figures.entries == 1
    cache.get("b", lambda: pytest.fail("b is the newest"))


def test_one_computation_however_many_ask() -> None:
    cache = EmbeddingCache(10 * SIZE)
    all_ask, computed = threading.Barrier(8), []

    def compute() -> Embedding:
        computed.append(threading.get_ident())
        return embedding(3)

    def ask(_: int) -> Embedding:
        all_ask.wait()
        return cache.get("a", compute)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert len(computed) == 1
    assert all(answer is answers[0] for answer in answers)


def test_a_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    cache = EmbeddingCache(10 * SIZE)
    waiting, fail_now = threading.Event(), threading.Event()

    def fail() -> Embedding:
        waiting.set()
        fail_now.wait(10)
        raise OSError("no such image")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.get, "a", fail)
        waiting.wait(10)
        second = pool.submit(cache.get, "a", lambda: pytest.fail("the first one computes"))
        while cache.figures.hits == 0:
            pass
        fail_now.set()
        for asked in (first, second):
            with pytest.raises(OSError, match="no such image"):
                asked.result(10)
    assert cache.get("a", embedding).features.shape == (4096, 256)


def test_what_another_process_kept_is_reread(tmp_path: Path) -> None:
    EmbeddingCache(SIZE, EmbeddingFiles(tmp_path, 10 * SIZE)).get("a", lambda: embedding(5))
    cache = EmbeddingCache(SIZE, EmbeddingFiles(tmp_path, 10 * SIZE))
    assert cache.get("a", lambda: pytest.fail("it is on disk")).features[0, 0] == 5
    assert cache.get("a", lambda: pytest.fail("it is in memory")).features[0, 0] == 5
    figures = cache.figures
    assert (figures.hits, figures.disk_hits, figures.misses, figures.entries) == (1, 1, 0, 1)
    assert figures.bytes == SIZE


def test_what_left_memory_is_still_on_disk(tmp_path: Path) -> None:
    cache = EmbeddingCache(1, EmbeddingFiles(tmp_path, 2 * SIZE + 100))
    for key in "abc":
        cache.get(key, embedding)
    cache.get("b", lambda: pytest.fail("it is on disk"))
    assert (cache.figures.disk_hits, cache.figures.evictions, cache.figures.disk_evictions) == (1, 3, 1)


def test_what_does_not_last_stays_in_memory(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path, 1 << 30)
    cache = EmbeddingCache(1 << 20, files)
    made = embedding(1)
    assert cache.get("a", lambda: made, lasting=False) is made
    assert cache.known("a") is made
    assert not files.holds("a")
    assert cache.get("b", lambda: made) is made
    assert files.holds("b")


def test_what_is_known_without_computing(tmp_path: Path) -> None:
    cache = EmbeddingCache(10 * SIZE, EmbeddingFiles(tmp_path, 10 * SIZE))
    assert cache.known("a") is None
    made = cache.get("a", embedding)
    assert cache.known("a") is made
    assert EmbeddingCache(SIZE, EmbeddingFiles(tmp_path, SIZE)).known("a") is not None
    assert cache.figures.misses == 1


def test_a_click_waits_for_the_prefetch_of_its_image_alone() -> None:
    """One encode runs, two prefetches wait; a click on the image of the second makes it the next."""
    cache, order, leave, began = EmbeddingCache(10 * SIZE), [], threading.Event(), threading.Event()

    def first() -> Embedding:
        began.set()
        leave.wait(60)
        return embedding()

    def noted(key: str) -> Embedding:
        order.append(key)
        return embedding()

    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(cache.get, "running", first, False)]
        began.wait(60)
        for number, key in enumerate("ab", 1):
            asked.append(pool.submit(cache.get, key, lambda key=key: noted(key), False))
            while cache.figures.waiting < number:
                pass
        asked.append(pool.submit(cache.known, "b"))
        while cache.figures.hits < 1:
            pass
        asked.append(pool.submit(cache.get, "click", lambda: noted("click")))
        while cache.figures.waiting < 3:
            pass
        leave.set()
        for one in asked:
            assert one.result(60) is not None
    assert order == ["b", "click", "a"]
    assert cache.figures.misses == 4
