"""What importing the package does to its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ENGINE = "import backend.segmentation.engine_openvino, openvino.tools.ovc as ovc; print(type(ovc.telemetry).__module__)"


def test_openvino_tells_nobody_that_it_is_used(tmp_path: Path) -> None:
    """With its own telemetry it would put an identity into the home folder, and send it."""
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
    asked = [sys.executable, "-c", ENGINE]
    told = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "openvino.tools.ovc.telemetry_stub"
    assert not list(tmp_path.iterdir())
