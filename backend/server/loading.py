"""The model is loaded beside the service: /health and /setup answer at once, a click waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field

import structlog

from backend.labelstudio.configured import engine_of, weights_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.engines import Engine
from backend.segmentation.weights import WeightsError, WeightsFile
from backend.settings import Settings

log = structlog.stdlib.get_logger("edgesam.weights")


@dataclass(frozen=True)
class Loading:
    """Weights and engine on their way. What went wrong stays known, and is told to everybody who asks."""

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
        """Why there is no engine and will be none, or None."""
        if not self.ready.done():
            return None
        error = self.ready.exception()
        return None if error is None else _told(error)

    def version(self, wait: float) -> str:
        """What answers will name as model_version, after at most `wait` seconds: the weights' name and hash.

        Known as soon as the file is there, before anything is loaded; while it is still downloaded, the name alone.
        Raises Unanswerable where nothing will ever answer.
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


def load_in_background(wanted: str, find: Callable[[], WeightsFile], load: Callable[[WeightsFile], Engine]) -> Loading:
    """Start to find the weights called `wanted` and to load them; returns at once."""
    loading = Loading(wanted)

    def work() -> None:
        try:
            weights = find()
            loading.weights.set_result(weights)
            loading.ready.set_result(load(weights))
        except Exception as error:
            for future in (loading.weights, loading.ready):
                if not future.done():
                    future.set_exception(error)
            log.error(
                "weights_failed", weights=wanted, message=_told(error), exc_info=not isinstance(error, WeightsError)
            )
        else:
            log.info("weights_loaded", weights=wanted, version=version_of(weights), path=str(weights.path))

    threading.Thread(target=work, name="loading", daemon=True).start()
    return loading


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
    if isinstance(error, WeightsError):
        return f"{error}; then start this service again"
    return f"the weights cannot be loaded ({type(error).__name__}); the log at the start says more"
