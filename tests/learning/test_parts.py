from __future__ import annotations

from pathlib import Path

import pytest

from backend.learning.masks import DataError
from backend.learning.parts import join, split


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    (tmp_path / "whole.bin").write_bytes(bytes(range(256)) * 10)
    split(tmp_path / "whole.bin", tmp_path / "parts", part_bytes=1000)
    return tmp_path / "parts"


def test_a_file_comes_out_of_its_parts_as_it_went_in(parts: Path, tmp_path: Path) -> None:
    assert [part.stat().st_size for part in sorted(parts.glob("whole.bin.0*"))] == [1000, 1000, 560]
    join(parts, "whole.bin", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == (tmp_path / "whole.bin").read_bytes()


def test_a_damaged_part_leaves_nothing_behind(parts: Path, tmp_path: Path) -> None:
    (parts / "whole.bin.001").write_bytes(b"\0" * 1000)
    with pytest.raises(DataError, match="damaged"):
        join(parts, "whole.bin", tmp_path / "again.bin")
    assert not list(tmp_path.glob("again*"))


def test_a_missing_part_is_named(parts: Path, tmp_path: Path) -> None:
    (parts / "whole.bin.002").unlink()
    with pytest.raises(DataError, match=r"whole\.bin\.002 is missing"):
        join(parts, "whole.bin", tmp_path / "again.bin")
