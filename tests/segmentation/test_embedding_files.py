"""What is kept on disk comes back whole or not at all."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from backend.segmentation import embedding_files
from backend.segmentation.embedding_files import EmbeddingFiles
from backend.segmentation.engines import Embedding
from backend.segmentation.preprocess import Frame

MUCH = 1 << 30


def embedding(seed: int = 0) -> Embedding:
    values = np.random.default_rng(seed).normal(0, 1, (4096, 256))
    return Embedding(values.astype(np.float16), Frame(4000, 3000))


def file_of(files: EmbeddingFiles) -> Path:
    [file] = files.folder.glob("*.embedding")
    return file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path / "new", MUCH)
    assert files.read("a") is None
    assert not files.holds("a")
    files.write("a", embedding())
    again = EmbeddingFiles(tmp_path / "new", MUCH)
    found = again.read("a")
    assert found is not None
    assert again.holds("a")
    np.testing.assert_array_equal(found.features, embedding().features)
    assert (found.features.dtype, found.frame) == (np.float16, Frame(4000, 3000))
    assert again.read("b") is None
    assert again.bytes() == file_of(files).stat().st_size > 2 << 20
    assert len(list(files.folder.iterdir())) == 1


def cut(content: bytes) -> bytes:
    return content[:-1]


def emptied(_: bytes) -> bytes:
    return b""


def one_bit(content: bytes) -> bytes:
    return content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]


def of_another_kind(content: bytes) -> bytes:
    return b"edgesam0" + content[8:]


@pytest.mark.parametrize("broken", [cut, emptied, one_bit, of_another_kind])
def test_a_broken_file_is_a_miss_and_goes(tmp_path: Path, broken: object) -> None:
    files = EmbeddingFiles(tmp_path, MUCH)
    files.write("a", embedding())
    file = file_of(files)
    file.write_bytes(broken(file.read_bytes()))  # type: ignore[operator]
    with capture_logs() as logs:
        assert files.read("a") is None
    assert [line["file"] for line in logs] == [str(file)]
    assert not file.exists()


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    files = EmbeddingFiles(tmp_path, MUCH)
    for age, key in enumerate("abc"):
        files.write(key, embedding())
        for file in tmp_path.glob("*.embedding"):
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 100 * (3 - age)))
    assert files.read("a")
    size = files.bytes() // 3
    assert EmbeddingFiles(tmp_path, 3 * size).write("d", embedding()) == 1
    assert [files.holds(key) for key in "abcd"] == [True, False, True, True]
    assert EmbeddingFiles(tmp_path, 1).write("e", embedding()) == 3
    assert files.holds("e")


def test_what_a_killed_process_left_goes_after_a_while(tmp_path: Path) -> None:
    old, young = tmp_path / "old.part", tmp_path / "young.part"
    for part in (old, young):
        part.touch()
    os.utime(old, (0, 0))
    EmbeddingFiles(tmp_path, MUCH).write("a", embedding())
    assert (old.exists(), young.exists()) == (False, True)


def test_a_folder_that_cannot_be_made_is_a_line_in_the_log(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    files = EmbeddingFiles(tmp_path / "file" / "folder", MUCH)
    with capture_logs() as logs:
        assert files.write("a", embedding()) == 0
        with files.making("a"):
            assert files.read("a") is None
    assert logs[0]["log_level"] == "warning"
    assert files.bytes() == 0


def test_a_full_disk_is_a_line_in_the_log_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Embedding) -> bytes:
        raise OSError(28, "No space left on device")

    files = EmbeddingFiles(tmp_path, MUCH)
    monkeypatch.setattr(embedding_files, "_content_of", full)
    with capture_logs() as logs:
        assert files.write("a", embedding()) == 0
    assert "No space left" in logs[0]["error"]
    assert list(tmp_path.iterdir()) == []


def made(folder: Path) -> int:
    """Makes the embedding of "a" unless it is there; returns how many were made here."""
    files = EmbeddingFiles(folder, MUCH)
    with files.making("a"):
        if files.read("a"):
            return 0
        files.write("a", embedding())
        return 1


def test_processes_make_it_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(3) as pool:
        assert sum(pool.map(made, [tmp_path] * 6)) == 1
