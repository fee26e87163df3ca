"""What /setup told is kept: for every worker, for the next start, for the owner's eyes only."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.labelstudio import connections
from backend.labelstudio.connections import Connection, recall, remember

TOKEN = "0" * 40


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_told_is_recalled_by_project_and_by_bare_id(tmp_path):
    remember(tmp_path, "27.1795354711", "http://127.0.0.1:8080/", TOKEN)
    assert recall(tmp_path, "27.1795354711") == Connection("http://127.0.0.1:8080", TOKEN)
    assert recall(tmp_path, "27") == Connection("http://127.0.0.1:8080", TOKEN)
    assert recall(tmp_path, "2") is None
    assert recall(tmp_path, "27.5") is None
    assert recall(tmp_path / "none", "27") is None


def test_how_a_project_is_labelled_is_kept_unless_it_is_too_long(tmp_path):
    remember(tmp_path, "1.5", "http://one", TOKEN, "<View/>")
    assert recall(tmp_path, "1.5") == Connection("http://one", TOKEN, "<View/>")
    remember(tmp_path, "1.5", "http://one", TOKEN, "<View>" + 300_000 * " ")
    assert recall(tmp_path, "1.5") == Connection("http://one", TOKEN)


def test_of_two_projects_of_one_id_the_bare_id_means_the_newest(tmp_path):
    for project, hostname, told_at in (
        ("1.5", "http://old", 1000),
        ("1.7", "http://new", 3000),
        ("1.9", "http://old", 2000),
    ):
        remember(tmp_path, project, hostname, "a")
        os.utime(tmp_path / "connections" / f"{project}.json", (told_at, told_at))
    assert recall(tmp_path, "1") == Connection("http://new", "a")


def test_projects_do_not_disturb_each_other_and_the_last_word_counts(tmp_path):
    remember(tmp_path, "1.5", "http://one", "a")
    remember(tmp_path, "2.5", "http://two", "b")
    remember(tmp_path, "1.5", "http://three", "c")
    assert recall(tmp_path, "1.5") == Connection("http://three", "c")
    assert recall(tmp_path, "2.5") == Connection("http://two", "b")
    assert len(files(tmp_path)) == 2


def test_only_the_owner_may_read_it_and_nothing_shows_the_token(tmp_path):
    remember(tmp_path, "1.5", "http://one", TOKEN)
    [file] = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert TOKEN not in repr(recall(tmp_path, "1.5"))


def test_what_is_known_is_not_written_again(tmp_path):
    remember(tmp_path, "1.5", "http://one", TOKEN)
    before = files(tmp_path)[0].stat()
    remember(tmp_path, "1.5", "http://one", TOKEN)
    after = files(tmp_path)[0].stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("project", ["../../etc/cron", "a/b", "1/../2", "", "1.5.6", "*", "\x00", "x" * 5000, "\u0661"])
def test_a_project_of_any_name_stays_in_the_folder(tmp_path, project):
    folder = tmp_path / "inside"
    remember(folder, project, "http://one", TOKEN)
    assert recall(folder, project) == Connection("http://one", TOKEN)
    assert [path.parent for path in files(tmp_path)] == [folder / "connections"]


@pytest.mark.parametrize("hostname", ["", "localhost:8080", "file:///etc", "javascript:1", "http://" + "a" * 5000])
def test_what_is_no_address_is_not_kept(tmp_path, hostname):
    remember(tmp_path, "1.5", hostname, TOKEN)
    assert files(tmp_path) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"hostname": "http://a"}', "\udcff"])
def test_a_broken_file_counts_as_nothing(tmp_path, content):
    remember(tmp_path, "1.5", "http://one", TOKEN)
    files(tmp_path)[0].write_bytes(content.encode("utf-8", "surrogateescape"))
    assert recall(tmp_path, "1.5") is None
    remember(tmp_path, "1.5", "http://one", TOKEN)
    assert recall(tmp_path, "1.5") == Connection("http://one", TOKEN)


def test_a_folder_that_cannot_be_written_does_not_stop_connecting(tmp_path):
    (tmp_path / "file").write_text("")
    remember(tmp_path / "file", "1.5", "http://one", TOKEN)
    assert recall(tmp_path / "file", "1.5") is None


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(connections.json, "dump", full)
    remember(tmp_path, "1", "http://studio", "token")
    assert files(tmp_path) == []


def test_many_at_once_never_read_half_a_file(tmp_path):
    told = {f"http://{name * 50}" for name in "abcdefgh"}

    def tell_and_ask(hostname):
        remember(tmp_path, "1.5", hostname, TOKEN)
        known = recall(tmp_path, "1.5")
        return known and known.hostname

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(tell_and_ask, sorted(told) * 10)) <= told
    assert len(files(tmp_path)) == 1
