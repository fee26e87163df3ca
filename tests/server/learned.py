"""What jobs have left in MODEL_DIR."""

from __future__ import annotations

from pathlib import Path

from backend.accepted.versions import Version, choose, record
from tests.server.standins import WEIGHTS

PROJECT = "27.1795354711"


def learned(
    folder: Path,
    number: int = 1,
    serves: bool = True,
    project: str = PROJECT,
    promoted: bool = True,
    base: str = WEIGHTS.sha256[:8],
) -> Version:
    """A version that was recorded with figures, and a page about it."""
    name = f"edgesam-{base}-p{project.partition('.')[0]}-v{number}"
    file = folder / "versions" / project / f"{name}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    file.with_suffix(".html").write_text(f"<h1>the report of {name}</h1>")
    metrics = {
        "project_before": {"box": 61.0, "click1": 41.0, "click2": 51.0, "click3": 56.0},
        "project_after": {"box": 71.0, "click1": 62.0, "click2": 66.0, "click3": 69.0},
    }
    made = f"2026-11-22T13:0{number}:31+00:00"
    version = Version(project, number, name, file, "0" * 64, base, promoted, metrics, made, 1)
    record(folder, version)
    if serves:
        choose(folder, project, name)
    return version
