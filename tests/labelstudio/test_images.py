"""Fetching images: from where, with which token, within which limits."""

import httpx
import pytest

from backend.labelstudio.connections import remember
from backend.labelstudio.images import ImageLoader
from backend.labelstudio.unanswerable import Unanswerable
from tests.labelstudio.standins import data_uri, loader, picture
from tests.labelstudio.test_tokens import LEGACY, PERSONAL, jwt

STUDIO = "http://studio:8080"
UPLOAD = "/data/upload/1/dog.jpg"
TASK = {"id": 7, "project": 1}
DOG = picture()


class Web:
    """Answers addresses; remembers who was sent which token."""

    def __init__(self, **answers):
        self.answers = {"http://studio:8080/data/upload/1/dog.jpg": httpx.Response(200, content=DOG)}
        self.sent = []

    def __call__(self, request):
        url = str(request.url)
        self.sent.append((url, request.headers.get("authorization")))
        assert "cookie" not in request.headers
        assert "*/*" in request.headers["accept"], "Label Studio answers 406 to image/* alone"
        found = self.answers.get(url, httpx.Response(404))
        if isinstance(found, Exception):
            raise found
        return found(request) if callable(found) else found


@pytest.fixture
def web():
    return Web()


def refused(web, address=UPLOAD, task=TASK, **settings):
    with pytest.raises(Unanswerable) as caught:
        loader(web, **{"label_studio_url": STUDIO, **settings}).find(address, task)
    for secret in (LEGACY, PERSONAL):
        assert secret not in str(caught.value)
    return caught.value


def moved(to, status=302):
    return httpx.Response(status, headers={"location": to})


def test_an_upload_is_asked_of_label_studio_with_the_key(web):
    assert loader(web, label_studio_url=STUDIO + "/", api_key=f" {LEGACY}\n").find(UPLOAD, TASK).data == DOG
    assert web.sent == [(STUDIO + UPLOAD, f"Token {LEGACY}")]


@pytest.mark.usefixtures("no_bytes_kept")
def test_a_personal_access_token_is_swapped_first_and_once(web):
    web.answers[STUDIO + "/api/token/refresh/"] = lambda _: httpx.Response(200, json={"access": jwt(iat=0, exp=300)})
    images = loader(web, label_studio_url=STUDIO, api_key=PERSONAL)
    images.find(UPLOAD, TASK)
    images.find(UPLOAD, TASK, anew=True)
    bearer = f"Bearer {jwt(iat=0, exp=300)}"
    assert web.sent == [
        (STUDIO + "/api/token/refresh/", None),
        (STUDIO + UPLOAD, bearer),
        (STUDIO + UPLOAD, bearer),
    ]


def test_an_access_token_that_ended_early_is_renewed_once(web):
    given = iter(["old", "new"])
    web.answers[STUDIO + "/api/token/refresh/"] = lambda _: httpx.Response(200, json={"access": next(given)})
    web.answers[STUDIO + UPLOAD] = lambda request: (
        httpx.Response(200, content=DOG) if request.headers["authorization"] == "Bearer new" else httpx.Response(401)
    )
    assert loader(web, label_studio_url=STUDIO, api_key=PERSONAL).find(UPLOAD, TASK).data == DOG


def test_another_server_never_sees_the_key(web):
    web.answers["http://elsewhere/dog.jpg"] = httpx.Response(200, content=DOG)
    assert loader(web, label_studio_url=STUDIO, api_key=LEGACY).find("http://elsewhere/dog.jpg", TASK).data == DOG
    assert web.sent == [("http://elsewhere/dog.jpg", None)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_key_does_not_follow_a_redirect_to_another_origin(web, status):
    web.answers[STUDIO + UPLOAD] = moved("https://studio:8080/dog.jpg", status)
    web.answers["https://studio:8080/dog.jpg"] = moved("//bucket/dog.jpg?signature=1", status)
    web.answers["https://bucket/dog.jpg?signature=1"] = httpx.Response(200, content=DOG)
    assert loader(web, label_studio_url=STUDIO, api_key=LEGACY).find(UPLOAD, TASK).data == DOG
    assert web.sent == [
        (STUDIO + UPLOAD, f"Token {LEGACY}"),
        ("https://studio:8080/dog.jpg", None),
        ("https://bucket/dog.jpg?signature=1", None),
    ]


def test_a_redirect_to_label_studio_gets_the_key(web):
    web.answers["http://elsewhere/dog.jpg"] = moved(STUDIO + UPLOAD)
    loader(web, label_studio_url=STUDIO, api_key=LEGACY).find("http://elsewhere/dog.jpg", TASK)
    assert web.sent == [("http://elsewhere/dog.jpg", None), (STUDIO + UPLOAD, f"Token {LEGACY}")]


def test_redirects_end(web):
    web.answers.update({f"http://host/{n}": moved(f"/{n + 1}") for n in range(9)})
    web.answers["http://host/5"] = httpx.Response(200, content=DOG)
    assert loader(web).find("http://host/0", TASK).data == DOG
    web.answers["http://host/5"] = moved("/6")
    assert "sends on more than 5 times" in str(refused(web, "http://host/0"))
    assert len(web.sent) == 12


@pytest.mark.parametrize("to", ["file:///etc/passwd", "data:,hello", "http://[bad", "ftp://host/"])
def test_a_redirect_to_no_web_address_is_refused(web, to):
    web.answers["http://host/a"] = moved(to)
    assert refused(web, "http://host/a").link == "image"


def test_cloud_addresses_go_through_label_studio(web):
    asked = STUDIO + "/tasks/7/resolve/?fileuri=czM6Ly9idWNrZXQvZG9nLmpwZw=="
    web.answers[asked] = moved("https://bucket/dog.jpg?signature=1", 303)
    web.answers["https://bucket/dog.jpg?signature=1"] = httpx.Response(200, content=DOG)
    assert loader(web, label_studio_url=STUDIO, api_key=LEGACY).find("s3://bucket/dog.jpg", TASK).data == DOG
    assert web.sent == [(asked, f"Token {LEGACY}"), ("https://bucket/dog.jpg?signature=1", None)]


def test_what_setup_told_is_the_last_resort(web, tmp_path):
    remember(tmp_path, "1.5", STUDIO, LEGACY)
    assert loader(web, model_dir=tmp_path).find(UPLOAD, TASK).data == DOG
    assert web.sent == [(STUDIO + UPLOAD, f"Token {LEGACY}")]
    assert refused(web, label_studio_url=None, model_dir=tmp_path, task={"project": 2}).link == "label studio"


def test_where_the_address_is_set_the_hostname_of_setup_is_not_asked(web, tmp_path):
    remember(tmp_path, "1.5", "http://evil", LEGACY)
    assert loader(web, label_studio_url=STUDIO, model_dir=tmp_path).find(UPLOAD, TASK).data == DOG
    assert web.sent == [(STUDIO + UPLOAD, None)]


def test_the_token_of_setup_serves_at_its_own_address(web, tmp_path):
    remember(tmp_path, "1.5", STUDIO, LEGACY)
    assert loader(web, label_studio_url=STUDIO, model_dir=tmp_path).find(UPLOAD, TASK).data == DOG
    assert web.sent == [(STUDIO + UPLOAD, f"Token {LEGACY}")]


def test_a_key_without_an_address_is_never_sent(web, tmp_path):
    remember(tmp_path, "1.5", "http://evil", "theirs")
    web.answers["http://evil" + UPLOAD] = httpx.Response(200, content=DOG)
    loader(web, api_key=LEGACY, model_dir=tmp_path).find(UPLOAD, TASK)
    assert web.sent == [("http://evil" + UPLOAD, "Token theirs")]


def test_a_local_file_that_is_missing_is_named_where_nobody_else_can_have_it(web, tmp_path):
    images = loader(web, local_files_root=tmp_path)
    with pytest.raises(Unanswerable, match=r"EDGESAM_LOCAL_FILES_ROOT\) has no such file"):
        images.find("/data/local-files/?d=dog.jpg", TASK)


def test_a_local_file_that_label_studio_refuses_is_named_too(web, tmp_path):
    address = "/data/local-files/?d=dog.jpg"
    web.answers[STUDIO + address] = httpx.Response(404)
    images = loader(web, label_studio_url=STUDIO, local_files_root=tmp_path)
    with pytest.raises(Unanswerable, match=r"answered 404: .*nor is it in .* \(EDGESAM_LOCAL_FILES_ROOT\)"):
        images.find(address, TASK)


def test_local_files_are_read_where_the_root_is_known(web, tmp_path):
    (tmp_path / "dog.jpg").write_bytes(b"read")
    web.answers[STUDIO + "/data/local-files/?d=cat.jpg"] = httpx.Response(200, content=b"asked")
    images = loader(web, label_studio_url=STUDIO, local_files_root=tmp_path, max_bytes=5)
    assert images.find("/data/local-files/?d=dog.jpg", TASK).data == b"read"
    assert images.find("/data/local-files/?d=cat.jpg", TASK).data == b"asked"
    (tmp_path / "dog.jpg").write_bytes(b"larger")
    with pytest.raises(Unanswerable, match=r"dog.jpg is larger than"):
        images.find("/data/local-files/?d=dog.jpg", TASK)


def test_a_data_address_asks_nobody(web):
    assert loader(web).find(data_uri(DOG), TASK).data == DOG
    assert web.sent == []


def test_a_large_image_is_refused_before_it_is_read(web):
    read = []

    def body():
        for _ in range(100):
            read.append(1)
            yield b"x" * 1000

    web.answers["http://host/a"] = lambda _: httpx.Response(200, content=body())
    assert "is larger than" in str(refused(web, "http://host/a", max_bytes=2500))
    assert len(read) == 3
    web.answers["http://host/a"] = lambda _: httpx.Response(200, headers={"content-length": "2501"}, content=body())
    assert "is larger than" in str(refused(web, "http://host/a", max_bytes=2500))
    assert len(read) == 3


def test_an_image_that_drips_is_given_up(web):
    web.answers["http://host/a"] = lambda _: httpx.Response(200, content=iter([b"a", b"b"]))
    assert "took too long" in str(refused(web, "http://host/a", timeout=1e-9))


def test_a_connection_that_was_closed_meanwhile_is_tried_again(web):
    answers = iter([httpx.RemoteProtocolError("Server disconnected"), httpx.Response(200, content=DOG)])

    def once(_):
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    web.answers["http://host/a"] = once
    assert loader(web).find("http://host/a", TASK).data == DOG
    web.answers["http://host/a"] = httpx.RemoteProtocolError("Server disconnected")
    assert "cannot be reached (RemoteProtocolError: Server disconnected)" in str(refused(web, "http://host/a"))


@pytest.mark.parametrize(
    ("peer", "fetched"),
    [
        (("169.254.169.254", 80), False),
        (("fe80::1%eth0", 80, 0, 2), False),
        (("10.0.0.7", 80), True),
        (("127.0.0.1", 80), True),
        (("::1", 80, 0, 0), True),
    ],
)
def test_link_local_addresses_are_not_asked_for_pictures(web, peer, fetched):
    class Stream:
        def get_extra_info(self, name):
            return {"server_addr": peer}[name]

    web.answers["http://host/a"] = httpx.Response(200, content=DOG, extensions={"network_stream": Stream()})
    if fetched:
        assert loader(web).find("http://host/a", TASK).data == DOG
    else:
        assert "is at the link-local address" in str(refused(web, "http://host/a"))


def test_no_cookie_is_kept(web):
    web.answers["http://host/a"] = httpx.Response(200, headers={"set-cookie": "a=b"}, content=DOG)
    images = loader(web)
    images.find("http://host/a", TASK)
    images.find("http://host/a", TASK, anew=True)


@pytest.mark.parametrize(
    ("answer", "settings", "link", "told"),
    [
        (httpx.Response(401), {"api_key": LEGACY}, "label studio", "to the legacy token of LABEL_STUDIO_API_KEY"),
        (httpx.Response(401), {}, "label studio", "no token is known: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"),
        (httpx.Response(404), {"api_key": LEGACY}, "image", "dog.jpg answered 404: no such file"),
        (httpx.Response(500), {}, "image", "dog.jpg answered 500"),
        (httpx.Response(200, html="<html>"), {}, "image", "text/html; charset=utf-8 instead of an image"),
        (httpx.Response(200, json={}), {}, "image", "application/json instead of an image"),
        (httpx.ConnectError("refused"), {}, "image", "cannot be reached (ConnectError: refused)"),
        (httpx.ReadTimeout("read"), {}, "image", "took too long (EDGESAM_IMAGE_TIMEOUT)"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), {}, "image", "with SSL_CERT_FILE="),
    ],
)
def test_failures_say_what_to_do(web, answer, settings, link, told):
    web.answers[STUDIO + UPLOAD] = answer
    error = refused(web, **settings)
    assert told in str(error)
    assert error.link == link


def test_a_refused_personal_access_token_says_so(web):
    web.answers[STUDIO + "/api/token/refresh/"] = lambda _: httpx.Response(200, json={"access": "access"})
    web.answers[STUDIO + UPLOAD] = httpx.Response(401)
    assert "to the personal access token of LABEL_STUDIO_API_KEY" in str(refused(web, api_key=PERSONAL))
    assert len(web.sent) == 4


def test_a_key_that_was_not_sent_says_why(web):
    web.answers["http://host/a"] = httpx.Response(401)
    error = refused(web, "http://host/a", label_studio_url=None, api_key=LEGACY)
    assert "LABEL_STUDIO_API_KEY was not sent because LABEL_STUDIO_URL is not set" in str(error)
    assert "no token was sent" in str(refused(web, "http://host/a", api_key=LEGACY))


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"])
def test_loopback_in_a_container_is_explained(web, url):
    web.answers[url + UPLOAD] = httpx.ConnectError("refused")
    assert "inside a container this name means the container itself" in str(refused(web, label_studio_url=url))
    web.answers[url + UPLOAD] = httpx.ReadTimeout("too late")
    assert "container" not in str(refused(web, label_studio_url=url)), "it was reached"


@pytest.mark.parametrize("address", ["http://[bad/a.jpg", "http:///a.jpg", "http://host:port/a.jpg", "http://a b/\x00"])
def test_a_broken_address_is_refused(address):
    with pytest.raises(Unanswerable):
        ImageLoader().find(address, TASK)
