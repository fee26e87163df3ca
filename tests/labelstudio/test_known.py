"""A known image is not downloaded again, and a changed one is."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from backend.labelstudio import downloads
from backend.labelstudio import images as images_module
from backend.labelstudio.connections import remember
from backend.labelstudio.known import CLICKS, RECHECK, SILENCE, UPLOADS, Flights, Recent, trust_in
from backend.labelstudio.tokens import Credentials
from backend.labelstudio.unanswerable import Unanswerable
from tests.labelstudio.standins import data_uri, loader, picture
from tests.labelstudio.test_tokens import PERSONAL, jwt

STUDIO = "http://studio:8080"
TASK = {"id": 7, "project": 1}
DOG, CAT = picture(), picture(colour=(1, 2, 3))
FAR = "http://host/a"


class Clock:
    """Time that passes when a test says so."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(images_module, "time", clock)
    monkeypatch.setattr(downloads, "time", clock)
    return clock


class Server:
    """A server that knows conditional requests, and where it sends them."""

    def __init__(self, content=DOG, **headers):
        self.content, self.headers, self.sent, self.to = content, headers, [], {}
        self.fault = None

    def __call__(self, request):
        condition = {
            name: request.headers[name] for name in ("if-none-match", "if-modified-since") if name in request.headers
        }
        self.sent.append((str(request.url), condition))
        if isinstance(self.fault, Exception):
            raise self.fault
        if self.fault:
            return self.fault
        if (place := self.to.get(str(request.url))) is not None:
            return httpx.Response(302, headers={"location": place})
        if condition and set(condition.values()) <= set(self.headers.values()):
            return httpx.Response(304)
        return httpx.Response(200, content=self.content, headers=self.headers)

    @property
    def conditions(self):
        return [condition for _, condition in self.sent]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_clicks_in_quick_succession_ask_once(clock):
    server = Server()
    images = loader(server)
    first = images.find(FAR, TASK)
    assert (first.content, first.data) == (digest(DOG), DOG)
    clock.now += CLICKS - 0.1
    again = images.find(FAR, TASK)
    assert (again.content, again.data) == (digest(DOG), None)
    assert images.find(FAR, TASK, anew=True).data == DOG
    assert len(server.sent) == 1, "its bytes are here still"


@pytest.mark.parametrize(
    ("headers", "condition"),
    [
        ({"etag": 'W/"1"', "last-modified": "Sun, 22 Nov 2026 13:05:37 GMT"}, {"if-none-match": 'W/"1"'}),
        (
            {"last-modified": "Sun, 22 Nov 2026 13:05:37 GMT"},
            {"if-modified-since": "Sun, 22 Nov 2026 13:05:37 GMT"},
        ),
    ],
)
def test_later_the_server_is_asked_whether_it_changed(clock, headers, condition):
    server = Server(**{name.replace("_", "-"): value for name, value in headers.items()})
    images = loader(server)
    images.find(FAR, TASK)
    clock.now += CLICKS
    assert images.find(FAR, TASK).data is None
    assert images.find(FAR, TASK).content == digest(DOG)  # just confirmed
    clock.now += CLICKS
    server.content, server.headers = CAT, {"etag": '"2"'}
    assert images.find(FAR, TASK).data == CAT
    assert server.conditions == [{}, condition, condition]


def test_a_server_that_says_nothing_of_changes_is_asked_for_the_image(clock):
    server = Server()
    images = loader(server)
    images.find(FAR, TASK)
    clock.now += CLICKS
    server.content = CAT
    assert images.find(FAR, TASK).data == CAT
    assert server.conditions == [{}, {}]


def test_only_the_place_that_gave_an_etag_is_told_of_it(clock):
    server = Server(etag='"1"')
    server.to = {FAR: "http://bucket/dog.jpg?signature=1"}
    images = loader(server)
    images.find(FAR, TASK)
    clock.now += CLICKS
    server.to = {FAR: "http://bucket/dog.jpg?signature=2"}
    assert images.find(FAR, TASK).data is None
    clock.now += CLICKS
    server.to = {FAR: "http://other/dog.jpg"}
    assert images.find(FAR, TASK).data == DOG
    assert server.conditions == [{}, {}, {}, {"if-none-match": '"1"'}, {}, {}]


def dripping(clock):
    yield b"a"
    clock.now += RECHECK + 1
    yield b"b"


@pytest.mark.parametrize(
    "fault",
    [
        lambda _: httpx.ReadTimeout("The read operation timed out"),
        lambda _: httpx.ConnectError("Connection refused"),
        lambda _: httpx.Response(503),
        lambda _: httpx.Response(429),
        lambda clock: httpx.Response(200, content=dripping(clock)),
    ],
    ids=["stalls", "is gone", "is ill", "is busy", "drips"],
)
def test_what_a_server_gave_counts_while_it_is_silent(clock, fault):
    server = Server()
    images = loader(server)
    images.find(FAR, TASK)
    clock.now += CLICKS
    server.fault = fault(clock)
    assert images.find(FAR, TASK).content == digest(DOG)
    asked = len(server.sent)
    clock.now += SILENCE - 0.1
    assert images.find(FAR, TASK).content == digest(DOG)
    assert len(server.sent) == asked, "and does not wait for it at every click"
    clock.now += 0.1
    server.fault, server.content = None, CAT
    assert images.find(FAR, TASK).data == CAT


def test_a_picture_that_changed_may_take_its_time(clock):
    server = Server(etag='"1"')
    images = loader(server)
    images.find(FAR, TASK)
    clock.now += CLICKS

    def slowly():
        yield CAT[:50]
        clock.now += RECHECK + 1
        yield CAT[50:]

    server.fault = httpx.Response(200, content=slowly())
    assert images.find(FAR, TASK).data == CAT


@pytest.mark.parametrize("fault", [httpx.Response(502), httpx.ReadTimeout("The read operation timed out")])
def test_what_a_server_gave_counts_while_label_studio_gives_no_access_token(clock, fault):
    given = iter([httpx.Response(200, json={"access": jwt(iat=0, exp=31)}), fault])

    def studio(request):
        if request.url.path != "/api/token/refresh/":
            return httpx.Response(200, content=DOG)
        answer = next(given)
        if isinstance(answer, Exception):
            raise answer
        return answer

    images = loader(studio, label_studio_url=STUDIO, api_key=PERSONAL)
    images.find("/files/dog.jpg", TASK)
    images._downloads.tokens.forget(Credentials(STUDIO, PERSONAL, ""))  # its time is over
    clock.now += CLICKS
    assert images.find("/files/dog.jpg", TASK).content == digest(DOG)


def test_a_server_that_refuses_is_not_silent(clock):
    server = Server()
    images = loader(server)
    images.find(FAR, TASK)
    clock.now += CLICKS
    server.fault = httpx.Response(403)
    with pytest.raises(Unanswerable, match="answered 403"):
        images.find(FAR, TASK)


def test_another_token_is_asked_for_itself(tmp_path):
    server = Server()
    images = loader(server, model_dir=tmp_path)
    for project in ("1.5", "2.5"):
        remember(tmp_path, project, STUDIO, f"token of {project}")
        assert images.find("/data/upload/1/01234567-dog.jpg", {"project": project}).data == DOG
    assert len(server.sent) == 2


def test_the_answer_to_a_token_is_known_for_that_token():
    server = Server()
    images = loader(server, label_studio_url=STUDIO, api_key="legacy")
    assert images.find("/data/upload/1/01234567-dog.jpg", TASK).data == DOG
    assert images.find("/data/upload/1/01234567-dog.jpg", TASK).data is None


def test_uploads_of_label_studio_keep_their_content(clock):
    server = Server()
    images = loader(server, label_studio_url=STUDIO)
    images.find("/data/upload/1/01234567-dog.jpg", TASK)
    clock.now += UPLOADS - 1
    assert images.find("/data/upload/1/01234567-dog.jpg", TASK).data is None
    clock.now += 1
    assert images.find("/data/upload/1/01234567-dog.jpg", TASK).data == DOG


@pytest.mark.parametrize(
    ("url", "label_studio", "trust"),
    [
        (STUDIO + "/data/upload/12/0a1b2c3d-a dog.jpg", STUDIO, UPLOADS),
        (STUDIO + "/data/upload/12/dog.jpg", STUDIO, CLICKS),
        (STUDIO + "/data/upload/12/0a1b2c3d-a.jpg?v=1", STUDIO, CLICKS),
        (STUDIO + "/data/local-files/?d=0a1b2c3d-a.jpg", STUDIO, CLICKS),
        ("http://elsewhere/data/upload/12/0a1b2c3d-a.jpg", STUDIO, CLICKS),
        ("http://elsewhere/data/upload/12/0a1b2c3d-a.jpg", None, CLICKS),
    ],
)
def test_only_label_studios_uploads_are_trusted_for_long(url, label_studio, trust):
    assert trust_in(url, label_studio) == trust


def test_a_local_file_is_read_again_when_it_changed(tmp_path):
    images = loader(Server(), local_files_root=tmp_path)
    file, address = tmp_path / "dog.jpg", "/data/local-files/?d=dog.jpg"
    file.write_bytes(b"first")
    os.utime(file, (1000, 1000))
    assert images.find(address, TASK).data == b"first"
    assert images.find(address, TASK).data is None
    assert images.find(address, TASK, anew=True).data == b"first"
    file.write_bytes(b"other")
    os.utime(file, (1001, 1001))
    assert images.find(address, TASK).data == b"other"


def test_a_local_file_that_changed_just_now_may_change_again(tmp_path):
    images = loader(Server(), local_files_root=tmp_path)
    (tmp_path / "dog.jpg").write_bytes(b"first")
    for _ in range(2):
        assert images.find("/data/local-files/?d=dog.jpg", TASK).data == b"first"


def test_data_is_hashed():
    found = loader(Server()).find(data_uri(DOG), TASK)
    assert (found.content, found.data) == (digest(DOG), DOG)


def test_who_asks_at_the_same_time_shares_one_answer():
    asked, answer_now = threading.Event(), threading.Event()
    requests = []

    def slow(request):
        requests.append(request)
        asked.set()
        answer_now.wait(60)
        return httpx.Response(200, content=DOG)

    images = loader(slow)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(images.find, FAR, TASK)
        asked.wait(60)
        others = [pool.submit(images.find, FAR, TASK) for _ in range(3)]
        answer_now.set()
        assert {one.result(60).content for one in [first, *others]} == {digest(DOG)}
    assert len(requests) == 1


def test_a_failure_is_shared_and_forgotten():
    flights = Flights()

    def fail():
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        flights.shared("a", fail)
    assert flights.shared("a", lambda: 5) == 5


def test_only_the_entries_used_last_are_remembered():
    recent = Recent(2)
    for key in "ab":
        recent.put(key, key)
    recent.get("a")
    recent.put("c", "c")
    assert [recent.get(key) for key in "abc"] == ["a", None, "c"]


def test_what_is_too_large_is_not_remembered():
    recent = Recent(5, len)
    for key, value in [("a", "aa"), ("b", "bb"), ("c", "cccccc")]:
        recent.put(key, value)
    assert [recent.get(key) for key in "abc"] == ["aa", "bb", None]
    recent.put("a", "aaaa")
    assert [recent.get(key) for key in "ab"] == ["aaaa", None]
    recent.put("a", "aa")
    recent.put("b", "bbb")
    assert [recent.get(key) for key in "ab"] == ["aa", "bbb"]


def test_bytes_are_kept_while_there_is_room(monkeypatch, clock):
    monkeypatch.setattr(images_module, "KEPT", len(DOG) + len(CAT))
    server = Server()
    images = loader(server)
    images.find(FAR, TASK)
    assert images.find(FAR, TASK, anew=True).data == DOG
    assert len(server.sent) == 1
    server.content = CAT + bytes(1)
    images.find("http://host/b", TASK)
    assert images.find(FAR, TASK, anew=True).data == server.content
    assert len(server.sent) == 3


@pytest.mark.usefixtures("no_bytes_kept")
def test_who_has_little_patience_does_not_ask_a_slow_server_again_and_again(clock):
    server = Server()
    images = loader(server)
    images.find(FAR, TASK)
    server.fault = httpx.ReadTimeout("The read operation timed out")
    for _ in range(3):
        with pytest.raises(Unanswerable, match="took too long"):
            images.find(FAR, TASK, anew=True, patience=0.5)
    assert len(server.sent) == 2
    with pytest.raises(Unanswerable, match="took too long"):
        images.find(FAR, TASK, anew=True)
    assert len(server.sent) == 3, "who needs it waits"
    clock.now += SILENCE
    server.fault = None
    assert images.find(FAR, TASK, anew=True, patience=0.5).data == DOG
