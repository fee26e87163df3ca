"""What the verbs of learning share: the weights that are named, and an end that says why in one sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backend.command_line import FAILED, ended, settings_given

if TYPE_CHECKING:
    from backend.segmentation.weights import WeightsFile


def found_weights(name: str) -> WeightsFile:
    """A name of `weights list`, or a file. Raises WeightsError."""
    from backend.segmentation.weights import find_weights

    settings = settings_given()
    return find_weights(name, settings.model_dir, settings.edgesam_accept_licence)


@contextmanager
def told() -> Iterator[None]:
    """What a person can put right ends the command with one sentence instead of a traceback."""
    from backend.labelstudio.unanswerable import Unanswerable
    from backend.learning.masks import DataError
    from backend.segmentation.weights import WeightsError

    try:
        yield
    except (DataError, WeightsError, Unanswerable, OSError, sqlite3.Error) as error:
        raise ended(str(error), FAILED) from error
