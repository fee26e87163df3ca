from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DRAWN_IN_SPITE_OF_SIGNALS = """
import multiprocessing, os, signal, sys
from pathlib import Path
from backend.learning.loader import Canvases, Sources, batches

drawn = batches(Canvases(Sources(Path(sys.argv[1])), (0,)), 1, workers=1, pin=False)
next(drawn)
(drawer,) = multiprocessing.active_children()
for number in (signal.SIGINT, signal.SIGTERM):
    os.kill(drawer.pid, number)
print(sum(len(next(drawn).pixels) for _ in range(8)))  # more than were drawn ahead
"""


def test_what_ends_the_run_does_not_end_the_processes_that_draw_for_it(photos: Path):
    """In a process of its own: one that has run other tests, with all their threads, had better not be forked."""
    command = [sys.executable, "-c", DRAWN_IN_SPITE_OF_SIGNALS, str(photos)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (0, "8\n"), ended.stderr
