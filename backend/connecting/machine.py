"""What must be so on this machine: settings, a folder to write to, weights."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from backend.connecting.findings import AmissError
from backend.labelstudio.configured import weights_of
from backend.segmentation.weights import is_here
from backend.settings import Settings, read_settings


def settings_read() -> tuple[str, Settings]:
    """The settings of this environment, and which of them are set. Raises SettingsError."""
    settings = read_settings()
    names = ", ".join(sorted(name.upper() for name in settings.model_fields_set))
    return f"set are {names or 'none'}; they must be those with which the backend runs", settings


def folder_writable(settings: Settings) -> tuple[str, Path]:
    """MODEL_DIR, in which nothing is left. Raises AmissError where it is not writable."""
    folder = settings.model_dir
    if not folder.exists():
        above = next(one for one in folder.absolute().parents if one.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            raise AmissError(f"{folder} cannot be made, since {above} is not writable: choose another folder")
        return f"{folder} is made when the service starts", folder
    try:
        with tempfile.TemporaryFile(dir=folder):
            return f"{folder} is writable", folder
    except OSError as error:
        raise AmissError(f"{folder} is not writable ({error.strerror}): let the service's user write there") from None


def weights_whole(settings: Settings) -> tuple[str, Path]:
    """The file of weights, checked. Nothing is downloaded. Raises AmissError or WeightsError."""
    name = settings.edgesam_weights
    if not is_here(name, settings.model_dir):
        raise AmissError(f"{name} is not downloaded yet: python -m backend weights fetch {name}")
    found = weights_of(settings)
    return f"{found.path} is whole", found.path
