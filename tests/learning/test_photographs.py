from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from backend.learning.masks import DataError
from backend.learning.photographs import index_of, packed, shards_in


def test_packed_photographs_come_out_as_they_went_in(tmp_path: Path) -> None:
    files = []
    for number in range(5):
        files.append(tmp_path / f"{number}.jpg")
        Image.new("RGB", (32 + number, 16), (10 * number, 0, 0)).save(files[-1])
    shards = packed(files, tmp_path / "shards", shard_bytes=4000)
    assert len(shards) > 1
    assert shards == shards_in(tmp_path / "shards")
    assert [photograph.pixels().shape[1] for photograph in index_of(shards)] == [32, 33, 34, 35, 36]


def test_a_folder_without_shards_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no photographs"):
        shards_in(tmp_path)


def test_a_broken_shard_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"not a tar file at all" * 100)
    with pytest.raises(DataError, match=r"x\.tar is not a whole tar file"):
        index_of(shards_in(tmp_path))
