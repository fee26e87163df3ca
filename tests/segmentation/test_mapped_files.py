"""What of a mapped file stays in memory."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from backend.segmentation.mapped_files import MAPS, let_go

SIZE = 1 << 20


def resident(file: Path) -> int:
    """Bytes of it that lie in this process's memory."""
    areas = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", MAPS.with_name("smaps").read_text())
    (mine,) = [area for area in areas if area.partition("\n")[0].endswith(f" {file}")]
    kilobytes = re.search(r"Rss: +(\d+)", mine)
    assert kilobytes
    return int(kilobytes[1]) << 10


def mapped(file: Path, access: int) -> mmap.mmap:
    file.write_bytes(b"x" * SIZE)
    with file.open("rb") as opened:
        area = mmap.mmap(opened.fileno(), 0, access=access)
    assert area[:] == b"x" * SIZE
    return area


def test_what_was_read_goes_and_comes_again(tmp_path: Path) -> None:
    folder, link = tmp_path / "with a space", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    file = folder / "graph.bin"
    with mapped(file, mmap.ACCESS_READ) as area:
        assert resident(file) == SIZE
        let_go(link)
        assert resident(file) == 0
        assert area[:] == b"x" * SIZE


def test_files_elsewhere_stay(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.bin"
    with mapped(file, mmap.ACCESS_READ):
        let_go(tmp_path / "graphs")
        assert resident(file) == SIZE


def test_what_was_changed_in_memory_is_not_lost(tmp_path: Path) -> None:
    with mapped(tmp_path / "graph.bin", mmap.ACCESS_COPY) as area:
        area[:3] = b"our"
        let_go(tmp_path)
        assert area[:4] == b"ourx"
