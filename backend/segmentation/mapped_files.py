"""Files that are mapped into this process: what of them lies in memory, and need not."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

MAPS = Path("/proc/self/maps")
MADV_DONTNEED = 4
"""sys/mman.h: the pages may go. What is read of them again comes from the file again."""


def let_go(folder: Path) -> None:
    """Of files in `folder` nothing stays in memory that is not read again. Only Linux knows this; elsewhere nothing
    happens."""
    with suppress(OSError, AttributeError):
        advise, folder = ctypes.CDLL(None).madvise, folder.resolve()
        for line in MAPS.read_text().splitlines():
            area, rights, _offset, _device, _inode, *path = line.split(maxsplit=5)
            if path and "w" not in rights and Path(path[0]).is_relative_to(folder):
                begin, end = (int(place, 16) for place in area.split("-"))
                advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), MADV_DONTNEED)
