from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DRAWN_IN_SPITE_OF_SIGNALS = """
import os, signal, sys
from pathlib import Path
from backend.learning.loader import Canvases, Sources, batches
from backend.learning.training import told_to_stop

drawn = batches(Canvases(Sources(Path(sys.argv[1])), (0,)), 1, workers=1, pin=False)
next(drawn)
with told_to_stop() as asked:
    os.killpg(0, signal.SIGINT)
    os.killpg(0, signal.SIGTERM)
    print(asked(), sum(len(next(drawn).pixels) for _ in range(8)))  # more than were drawn ahead
"""


def test_what_ends_the_run_does_not_end_the_processes_that_draw_for_it(photos: Path):
    """In a process of its own: one that has run other tests, with all their threads, had better not be forked."""
    command = [sys.executable, "-c", DRAWN_IN_SPITE_OF_SIGNALS, str(photos)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, start_new_session=True)
    assert (ended.returncode, ended.stdout) == (0, "True 8\n"), ended.stderr
