"""What log lines look like."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging, sys, structlog
from backend.server.logs import configure
configure(sys.argv[1])
log = structlog.stdlib.get_logger("edgesam")
log.debug("fine")
with structlog.contextvars.bound_contextvars(request_id="r1"):
    log.warning("unanswered", link="image")
logging.getLogger("httpx").info("a library's chatter")
logging.getLogger("some.library").warning("a library's %s", "warning")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
"""


def lines_at(level: str) -> list[dict[str, object]]:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, level], capture_output=True, text=True, check=True)
    assert not ended.stdout
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_every_line_is_json_with_its_request() -> None:
    ours, library, broken = lines_at("info")
    assert (ours["event"], ours["level"], ours["link"], ours["request_id"]) == ("unanswered", "warning", "image", "r1")
    assert (library["event"], library["level"]) == ("a library's warning", "warning")
    assert "ZeroDivisionError" in str(broken["exception"])


def test_the_level_counts() -> None:
    assert [line["event"] for line in lines_at("debug")] == ["fine", "unanswered", "a library's warning", "broken"]
    assert [line["event"] for line in lines_at("error")] == ["broken"]
