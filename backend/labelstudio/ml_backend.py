"""EdgeSAMBackend: the same answers behind label-studio-ml's class, of 1.0.9 (PyPI) and of 2.x, and behind its own api.

Our server does not need it: this is for those who already serve label-studio-ml. It reads the same settings.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from functools import cache
from typing import Any, ClassVar

import structlog

from backend.labelstudio.answering import answer
from backend.labelstudio.configured import engine_of, segmenter_of, weights_of
from backend.labelstudio.connections import remember
from backend.labelstudio.segmenter import Segmenter
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.engines import Engine
from backend.segmentation.weights import WeightsError
from backend.settings import Settings, read_settings

try:
    from label_studio_ml.model import LabelStudioMLBase
except ImportError as error:
    raise ImportError(
        f"label-studio-ml cannot be imported ({error}). Its 1.0.9 pins old versions of many packages, so install it "
        "without them: pip install --no-deps label-studio-ml==1.0.9 label-studio-tools==0.0.4, then what its "
        "model needs: pip install redis rq attrs colorama appdirs lxml requests (and flask to serve its own api)"
    ) from error
try:
    from label_studio_ml.response import ModelResponse
except ImportError:  # 1.0.9 answers with plain lists
    ModelResponse = None

SETUP_WAIT = 2.0
"""Seconds that 2.x's /setup waits for the model's name; Label Studio gives up after three."""

log = structlog.get_logger()
_making, _loading = threading.Lock(), threading.Lock()


class EdgeSAMBackend(LabelStudioMLBase):  # type: ignore[misc]  # label-studio-ml has no types
    """A click or a box becomes a mask. Nothing is kept between requests but what the process's segmenter caches."""

    TRAIN_EVENTS = ()
    """Nothing is trained here; with its own 1.0.9 would name a new version after every annotation."""

    segmenter: ClassVar[Callable[[], Segmenter]]
    """The process's segmenter: as the settings say, unless a subclass has another."""

    def setup(self) -> None:
        """Called by 2.x in every request: names the version. While the weights still load, the name waits a little."""
        with suppress(NotYet, Unanswerable):
            version = _engine(type(self).segmenter()).result(SETUP_WAIT).version
            if self.get("model_version") != version:  # each write goes to a database
                self.set("model_version", version)

    def predict(
        self, tasks: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None = None, **_kwargs: Any
    ) -> Any:
        """One entry per task, in order: a list for 1.0.9, a ModelResponse for 2.x.

        Raises Unanswerable, after a line in the log, where the request does not allow an answer.
        """
        if hostname := getattr(self, "hostname", ""):  # 1.0.9 passes on what /setup told
            for project in {str(task.get("project")) for task in tasks}:
                remember(read_settings().model_dir, project, hostname, getattr(self, "access_token", "") or "")
        segmenter = type(self).segmenter()
        try:
            predictions = answer(segmenter, tasks, self.label_config or "", context)
        except Unanswerable as error:
            log.warning("unanswered", link=error.link, message=str(error))
            raise
        return predictions if ModelResponse is None else ModelResponse(predictions=predictions)


def configured_segmenter() -> Segmenter:
    """The process's segmenter, as the settings say; its model loads beside the first request."""
    with _making:
        return _made()


EdgeSAMBackend.segmenter = staticmethod(configured_segmenter)


@cache
def _engine(segmenter: Segmenter) -> Future[Engine]:
    """The segmenter's engine on its way: one thread waits for it, however many requests ask."""
    coming: Future[Engine] = Future()

    def wait() -> None:
        try:
            coming.set_result(segmenter.engine())
        except Exception as error:
            coming.set_exception(error)

    threading.Thread(target=wait, name="engine", daemon=True).start()
    return coming


@cache
def _made() -> Segmenter:
    settings = read_settings()
    return segmenter_of(settings, lambda: _loaded(settings))


def _loaded(settings: Settings) -> Engine:
    """The configured engine, loaded once. Raises Unanswerable where it cannot be had."""
    with _loading:  # not the lock above: /setup must not wait for weights
        try:
            return _load(settings)
        except WeightsError as error:
            raise Unanswerable("weights", str(error)) from error


@cache
def _load(settings: Settings) -> Engine:
    return engine_of(settings, weights_of(settings))
