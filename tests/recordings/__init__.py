"""84 exchanges of a real Label Studio 1.23.2 with an ML backend (README.md here)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def recordings(wanted: Callable[[dict[str, Any]], bool] = lambda recording: True) -> list[tuple[str, dict[str, Any]]]:
    """Name and content of every recording that is wanted, by name."""
    read = [(path.stem, json.loads(path.read_text("utf-8"))) for path in sorted(FOLDER.glob("*.json"))]
    return [(name, recording) for name, recording in read if wanted(recording)]


def requests_of(recording: dict[str, Any]) -> list[dict[str, Any]]:
    """All requests of the recording in their order; each has method, path, headers and body."""
    return [*recording["requests_before"], *([recording["request"]] if recording["request"] else [])]


def predictions(recording: dict[str, Any]) -> list[dict[str, Any]]:
    """The bodies of its /predict requests."""
    return [request["body"] for request in requests_of(recording) if request["path"] == "/predict"]
