"""The parts that answer, put together for one process, and the embeddings of pictures that they make."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from backend.labelstudio.addresses import shown
from backend.labelstudio.images import ImageLoader
from backend.labelstudio.known import Found
from backend.labelstudio.pixels import pixels_of
from backend.labelstudio.places import Places
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation import predictor, preprocess
from backend.segmentation.embeddings import EmbeddingCache
from backend.segmentation.engines import Embedding, Engine
from backend.segmentation.proposals import Proposer
from backend.segmentation.windows import Closer, Window

PATIENCE = 0.5
"""Seconds for which a closer look waits for the bytes of a picture whose masks are there already."""

log = structlog.get_logger()


def _nobody(_task: Mapping[str, Any], _label_config: str) -> None:
    """Nobody prepares for clicks."""


def _unobserved(phase: str, seconds: float) -> None:
    """Nobody measures."""


def _base(engine: Engine, _project: str | None) -> Engine:
    """Every project gets the same answers."""
    return engine


def _nothing_known(_project: str | None) -> tuple[str, Proposer] | None:
    """Nothing is proposed."""
    return None


@dataclass(frozen=True)
class Segmenter:
    """What answering needs, made once per process.

    engine: the model, ready to run; may block until its weights are loaded; may raise.
    images, embeddings: where bytes come from, and where embeddings are kept.
    smallest_share: parts of a mask below this share of its area are left out (`predictor.masks_of`).
    observe: told how many seconds a phase took: "image" (its bytes), where the embedding was not known "wait" (for
    the encoder) and "encode" (decoding the picture and the encoder), "decode" (the masks, with the closer look at
    objects) and "answer" (the regions).
    opened: told of a task that an annotator has opened, and its labelling configuration; must return at once.
    version_for: the engine that answers a project, given the one of `engine`, whose embeddings it shares.
    version_once_loaded: the same, for whom nobody waits: a version that is not there yet is loaded first.
    proposer_for: what finds objects in a project unasked, and the version that it was judged with, if there is such.
    at_once: how many requests are worked on at once. Who waits for a picture's server gives its place to another, and
    who asks for many masks steps back between them.
    """

    engine: Callable[[], Engine]
    images: ImageLoader
    embeddings: EmbeddingCache
    smallest_share: float = 0.0
    observe: Callable[[str, float], None] = _unobserved
    opened: Callable[[Mapping[str, Any], str], None] = _nobody
    version_for: Callable[[Engine, str | None], Engine] = _base
    version_once_loaded: Callable[[Engine, str | None], Engine] = _base
    proposer_for: Callable[[str | None], tuple[str, Proposer] | None] = _nothing_known
    at_once: Places = field(default_factory=partial(Places, 8))


@dataclass(frozen=True, slots=True)
class Sight:
    """An image as it was found, the engine that answers on it, and its embedding by that one's encoder."""

    image: Found
    engine: Engine
    embedding: Embedding


def sight_of(segmenter: Segmenter, engine: Engine, address: str, task: Mapping[str, Any], urgent: bool) -> Sight:
    """An image with its embedding: known under its hash, engine and preprocessing, or made now.

    urgent: somebody waits for it. The caller has a place among segmenter.at_once.
    """
    image = _found(segmenter, address, task)
    image, embedding = _seen_by(segmenter, engine, address, task, image, urgent)
    answering = engine.for_picture(embedding)
    if answering.identity != engine.identity:
        image, embedding = _seen_by(segmenter, answering, address, task, image, urgent)
    return Sight(image, answering, embedding)


def _seen_by(
    segmenter: Segmenter, engine: Engine, address: str, task: Mapping[str, Any], image: Found, urgent: bool
) -> tuple[Found, Embedding]:
    if image.data is None:
        if embedding := segmenter.embeddings.known(_key(image, engine, None), urgent):
            return image, embedding
        image = _found(segmenter, address, task, anew=True)
    return image, _embedding(segmenter, engine, address, image, urgent)


def _embedding(
    segmenter: Segmenter, engine: Engine, address: str, image: Found, urgent: bool, window: Window | None = None
) -> Embedding:
    """Of an image whose bytes are here, or of a window of it."""
    data = image.data
    assert data is not None, "asked anew, the bytes come"
    asked = time.perf_counter()

    def encode() -> Embedding:
        segmenter.observe("wait", time.perf_counter() - asked)
        with phase_of(segmenter, "encode"):
            try:
                pixels, frame = pixels_of(data, segmenter.images.max_pixels, window)
            except Unanswerable as error:
                raise Unanswerable(error.link, f"{shown(address)}: {error}") from None
            return predictor.encode(engine, pixels, frame)

    # On disk windows would soon take the room of pictures that are prepared and not yet seen.
    return segmenter.embeddings.get(_key(image, engine, window), encode, urgent, lasting=window is None)


def _found(
    segmenter: Segmenter, address: str, task: Mapping[str, Any], anew: bool = False, patience: float | None = None
) -> Found:
    """Without a place while it waits: servers that do not answer would soon hold all of them."""
    with segmenter.at_once.left(), phase_of(segmenter, "image"):
        return segmenter.images.find(address, task, anew, patience)


def _key(image: Found, engine: Engine, window: Window | None) -> str:
    key = f"{image.content}:{engine.identity}:{preprocess.VERSION}"
    return f"{key}:{window.left}-{window.top}-{window.right}-{window.bottom}" if window else key


def closer_of(
    segmenter: Segmenter, engine: Engine, address: str, task: Mapping[str, Any], image: Found, urgent: bool
) -> Closer:
    """Windows of this image, whose bytes are asked for once where they are not here. Where they cannot be had soon, or
    are others meanwhile, the whole image answers."""
    gone = False

    def closer(window: Window) -> Embedding | None:
        nonlocal image, gone
        if gone:
            return None
        if embedding := segmenter.embeddings.known(_key(image, engine, window), urgent):
            return embedding
        try:
            if image.data is None:
                before, image = image, _found(segmenter, address, task, anew=True, patience=PATIENCE)
                gone = image.content != before.content
            return None if gone else _embedding(segmenter, engine, address, image, urgent, window)
        except Unanswerable as error:
            log.warning("Objects were not looked at closely", why=str(error))
            gone = True
            return None

    return closer


@contextmanager
def phase_of(segmenter: Segmenter, name: str) -> Iterator[None]:
    """Within, the phase of this name goes on: observed are its seconds."""
    started = time.perf_counter()
    yield
    segmenter.observe(name, time.perf_counter() - started)
