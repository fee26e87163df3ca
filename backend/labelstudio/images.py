"""An address in a task -> the image's bytes. From where, how large, how long: all of it has limits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx

from backend.labelstudio import addresses, connections
from backend.labelstudio.addresses import shown
from backend.labelstudio.client import Credentials, Tokens, origin
from backend.labelstudio.failures import not_an_image, refused, unreachable
from backend.labelstudio.unanswerable import Unanswerable

REDIRECTS = 5
ATTEMPTS = 2
"""A kept-alive connection that the server closed meanwhile is no failure: the second one is new."""


class ImageLoader:
    """Fetches images; made once per process, safe from many threads.

    label_studio_url, api_key: Label Studio's address and a token for it. The token goes to that origin only, and
    nowhere where no address is set.
    model_dir: where `connections` keeps what /setup told; None where nothing is kept. Its address counts only where
    label_studio_url is not set, its token only at its own address and only where there is no api_key for it.
    local_files_root: the folder that Label Studio serves as local files, if it can be read from here.
    timeout: seconds for one image. max_bytes, max_pixels: the largest file, the largest picture.
    """

    def __init__(
        self,
        label_studio_url: str | None = None,
        api_key: str | None = None,
        model_dir: Path | None = None,
        local_files_root: Path | None = None,
        timeout: float = 20.0,
        max_bytes: int = 100 << 20,
        max_pixels: int = 100_000_000,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.max_bytes, self.max_pixels = max_bytes, max_pixels
        self._url = label_studio_url and label_studio_url.rstrip("/")
        self._api_key = api_key and api_key.strip()
        self._model_dir = model_dir
        self._root = local_files_root
        self._timeout = timeout
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
        self._client = httpx.Client(timeout=timeout, transport=transport, cookies=no_cookies)
        self._tokens = Tokens(self._client)

    def load(self, address: str, task: Mapping[str, Any]) -> bytes:
        """The bytes behind an address of the task's data. Raises Unanswerable, saying why and what to do."""
        if addresses.scheme_of(address) == "data":
            return addresses.data_of(address, self.max_bytes)
        if self._root and (file := addresses.local_file(address, self._root)):
            return self._read(file)
        credentials = self._credentials(task)
        label_studio = self._url or (credentials and credentials.url)
        url = addresses.web_address(address, task, label_studio or None)
        return self._fetched(url, credentials)

    def _credentials(self, task: Mapping[str, Any]) -> Credentials | None:
        """The token for this task's Label Studio; an empty one where only its address is known."""
        if self._url and self._api_key:
            return Credentials(self._url, self._api_key, "LABEL_STUDIO_API_KEY")
        told = connections.recall(self._model_dir, str(task.get("project"))) if self._model_dir else None
        return Credentials(told.hostname, told.token, "/setup") if told else None

    def _read(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                data = opened.read(self.max_bytes + 1)
        except OSError as error:
            raise Unanswerable("image", f"{file} cannot be read ({error.strerror}): check its permissions") from None
        if len(data) > self.max_bytes:
            raise Unanswerable("image", self._too_large(str(file)))
        return data

    def _fetched(self, url: str, credentials: Credentials | None) -> bytes:
        """Follows redirects by hand: who may see the token is decided anew at every step."""
        deadline = time.monotonic() + self._timeout
        at, redirects, renewed = url, 0, False
        while True:
            ours = credentials if credentials and credentials.token and _same(at, credentials.url) else None
            answer = self._asked(at, ours, deadline)
            if isinstance(answer, bytes):
                return answer
            if answer.status_code == 401 and ours and ours.personal and not renewed:
                self._tokens.forget(ours)
                renewed = True
                continue
            if not answer.has_redirect_location:
                raise refused(answer, ours, credentials, self._url, bool(self._api_key))
            try:
                at = str(answer.url.join(answer.headers["location"]))
            except httpx.InvalidURL as error:
                raise unreachable(answer.headers["location"], error) from None
            redirects += 1
            if redirects > REDIRECTS:
                raise Unanswerable(
                    "image", f"{shown(url)} sends on more than {REDIRECTS} times, at last to {shown(at)}"
                )
            if not at.startswith(("http://", "https://")):
                raise Unanswerable("image", f"{shown(url)} sends on to {shown(at)}, which is not http(s)")

    def _asked(self, url: str, credentials: Credentials | None, deadline: float) -> bytes | httpx.Response:
        """The image's bytes, or an answer that holds none: a redirect or a refusal."""
        for attempt in range(1, ATTEMPTS + 1):
            left = max(deadline - time.monotonic(), 0.001)
            try:
                headers = {"Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"}
                if credentials:
                    headers["Authorization"] = self._tokens.header(credentials)
                with self._client.stream("GET", url, headers=headers, timeout=left) as answer:
                    return self._body(answer, deadline) if answer.is_success else answer
            except httpx.RemoteProtocolError as error:
                if attempt == ATTEMPTS:
                    raise unreachable(url, error) from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise unreachable(url, error) from None
        raise AssertionError("the last attempt returns or raises")

    def _body(self, answer: httpx.Response, deadline: float) -> bytes:
        url = str(answer.url)
        if answer.headers.get("content-type", "").partition(";")[0].strip() in ("text/html", "application/json"):
            raise not_an_image(answer)
        announced = answer.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self.max_bytes:
            raise Unanswerable("image", self._too_large(shown(url)))
        data = bytearray()
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > self.max_bytes:
                raise Unanswerable("image", self._too_large(shown(url)))
            if time.monotonic() > deadline:
                raise Unanswerable(
                    "image", f"{shown(url)} took longer than {self._timeout:g} s (EDGESAM_IMAGE_TIMEOUT)"
                )
        return bytes(data)

    def _too_large(self, what: str) -> str:
        return f"{what} is larger than the {self.max_bytes >> 20} MiB that are allowed (EDGESAM_MAX_IMAGE_MB)"


def _same(url: str, other: str) -> bool:
    try:
        return origin(url) == origin(other)
    except httpx.InvalidURL:
        return False
