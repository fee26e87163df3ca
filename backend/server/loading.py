"""The model is loaded beside the service: /health and /setup answer at once, a click waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from backend.labelstudio.configured import engine_of, weights_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.engines import Engine
from backend.segmentation.weights import WeightsError, WeightsFile
from backend.settings import Settings

T = TypeVar("T")

log = structlog.stdlib.get_logger("edgesam.weights")


AGAIN_SECONDS = 60.0
"""After so long, what failed is tried again: the network is back, a file was put in its place, a disk has room."""


@dataclass
class Loading:
    """Weights and engine on their way. What went wrong is told to everybody who asks, until it went well."""

    wanted: str
    weights: Future[WeightsFile] = field(default_factory=Future)
    ready: Future[Engine] = field(default_factory=Future)

    def engine(self) -> Engine:
        """The engine; waits while it loads. Raises Unanswerable where it cannot be had."""
        try:
            return self.ready.result()
        except Exception as error:
            raise Unanswerable("weights", _told(error)) from error

    @property
    def failure(self) -> str | None:
        """Why there is no engine, or None where there is one or it is still on its way."""
        if not self.ready.done():
            return None
        error = self.ready.exception()
        return None if error is None else _told(error)

    @property
    def base(self) -> str | None:
        """The first eight digits of the hash of the weights; None while they are not there."""
        known = self.weights.done() and not self.weights.exception()
        return self.weights.result().sha256[:8] if known else None

    def version(self, wait: float) -> str:
        """What answers will name as model_version, after at most `wait` seconds: the weights' name and hash.

        Known as soon as the file is there, before anything is loaded; while it is still downloaded, the name alone.
        Raises Unanswerable where they cannot be had.
        """
        if self.failure is not None:
            raise Unanswerable("weights", self.failure)
        try:
            return version_of(self.weights.result(wait))
        except NotYet:
            return self.wanted
        except Exception as error:
            raise Unanswerable("weights", _told(error)) from error


def version_of(weights: WeightsFile) -> str:
    """As the engines name themselves in answers."""
    return f"{weights.name}-{weights.sha256[:8]}"


def load_in_background(
    wanted: str,
    find: Callable[[], WeightsFile],
    load: Callable[[WeightsFile], Engine],
    rest: Callable[[], None] = lambda: time.sleep(AGAIN_SECONDS),
) -> Loading:
    """Start to find the weights called `wanted` and to load them; returns at once. rest: between a failure and the next
    try."""
    loading = Loading(wanted)

    def work() -> None:
        told = ""
        while error := _attempt(loading, find, load):
            if told != (told := _told(error)):
                log.error("weights_failed", weights=wanted, message=told, exc_info=_unforeseen(error))
            rest()

    threading.Thread(target=work, name="loading", daemon=True).start()
    return loading


def _attempt(
    loading: Loading, find: Callable[[], WeightsFile], load: Callable[[WeightsFile], Engine]
) -> Exception | None:
    """What went wrong, which everybody is told from now on; None where it went well."""
    try:
        weights = find()
    except Exception as error:
        loading.weights, loading.ready = _failed(loading.weights, error), _failed(loading.ready, error)
        return error
    loading.weights = _resolved(loading.weights, weights)
    try:
        engine = load(weights)
    except Exception as error:
        loading.ready = _failed(loading.ready, error)
        return error
    loading.ready = _resolved(loading.ready, engine)
    log.info("weights_loaded", weights=loading.wanted, version=version_of(weights), path=str(weights.path))
    return None


def _resolved(future: Future[T], value: T) -> Future[T]:
    """This one, for whoever waits, or another one where it is done: with the value."""
    future = Future() if future.done() else future
    future.set_result(value)
    return future


def _failed(future: Future[T], error: Exception) -> Future[T]:
    """This one, for whoever waits, or another one where it is done: with the error."""
    future = Future() if future.done() else future
    future.set_exception(error)
    return future


def load_configured(settings: Settings) -> Loading:
    """Start to load the weights that the settings name."""
    return load_in_background(
        settings.edgesam_weights, lambda: _find(settings), lambda weights: engine_of(settings, weights)
    )


def _find(settings: Settings) -> WeightsFile:
    told = -1

    def progress(so_far: int, in_all: int) -> None:
        nonlocal told
        percent = so_far * 100 // max(in_all, 1)
        if percent // 10 > told:
            told = percent // 10
            log.info("weights_download", weights=settings.edgesam_weights, percent=percent)

    return weights_of(settings, progress)


def _told(error: BaseException) -> str:
    """For people: our own errors say what to do; of others only the kind is told, the log has the rest."""
    if not _unforeseen(error):
        return f"{error}; it is tried again every minute"
    return f"the weights cannot be loaded ({type(error).__name__}); the log says more"


def _unforeseen(error: BaseException) -> bool:
    return not isinstance(error, WeightsError)
