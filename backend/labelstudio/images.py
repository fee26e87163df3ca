"""An address in a task -> the image's bytes, or that they are known. Where from, how large, how long: limited."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import structlog

from backend.labelstudio import addresses, connections
from backend.labelstudio.addresses import shown
from backend.labelstudio.client import Api
from backend.labelstudio.failures import not_an_image, refused, too_slow, unreachable
from backend.labelstudio.known import (
    CLICKS,
    RECHECK,
    SILENCE,
    Flights,
    Found,
    Recent,
    Seen,
    found,
    place_of,
    trust_in,
    validators_in,
)
from backend.labelstudio.tokens import Credentials, Tokens, origin
from backend.labelstudio.unanswerable import Unanswerable, Unavailable

REDIRECTS = 5
ATTEMPTS = 2
"""A kept-alive connection that the server closed meanwhile is no failure: the second one is new."""

KEPT = 8 << 20
"""Bytes of files that came last: windows of their pictures need them soon, often with the next click."""

_Asked = tuple[str, Credentials | None]
"""An address, and for whom: what one token got is not another's."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Body:
    """What an address gave, and how to ask it whether that changed."""

    data: bytes
    url: str
    validators: Mapping[str, str]


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
        self._files: Recent[Path, tuple[tuple[int, int], str]] = Recent()
        self._seen: Recent[_Asked, Seen] = Recent()
        self._data: Recent[str, bytes] = Recent(KEPT, len)
        self._slow: Recent[_Asked, float] = Recent()
        self._flights: Flights[tuple[_Asked, bool, float], Found] = Flights()

    def find(self, address: str, task: Mapping[str, Any], anew: bool = False, patience: float | None = None) -> Found:
        """What lies behind an address of the task's data: its hash alone where that is known and has not changed.

        anew: the bytes are needed. patience: seconds, where the timeout is too long; a server for which they did not
        suffice is not asked with so little again for a while.

        A file counts as unchanged by its time and size; a server is asked by ETag or time,
        but for some seconds after it last answered (`known.trust_in`), and only what the same token got counts.
        Where it no longer answers, what it gave before counts. Who wants the same at the same time shares one answer.
        Raises Unanswerable, saying why and what to do.
        """
        if addresses.scheme_of(address) == "data":
            return found(addresses.data_of(address, self.max_bytes))
        if self._root and (file := addresses.local_file(address, self._root)):
            return self._in_file(file, anew)
        credentials = self._credentials(task)
        label_studio = self._url or (credentials.url if credentials else None) or None
        if self._root and label_studio is None and addresses.names_local_file(address):
            raise Unanswerable("image", f"{shown(address)}: {self._root} (EDGESAM_LOCAL_FILES_ROOT) has no such file")
        url = addresses.web_address(address, task, label_studio)
        asked = url, credentials
        seen = self._seen.get(asked)
        if seen and time.monotonic() < seen.until:
            data = self._data.get(seen.content) if anew else None
            if data or not anew:
                return Found(seen.content, data)
        if patience and time.monotonic() < (self._slow.get(asked) or 0.0):
            raise Unavailable(f"{shown(url)} took too long a moment ago")
        before = None if anew else seen
        timeout = min(self._timeout, patience or (RECHECK if before else self._timeout))
        trust = trust_in(url, label_studio)
        try:
            return self._flights.shared((asked, anew, timeout), lambda: self._on_web(asked, before, timeout, trust))
        except Unanswerable as error:
            if patience and isinstance(error, Unavailable):
                self._slow.put(asked, time.monotonic() + SILENCE)
            if self._root and addresses.names_local_file(address):
                told = f"{error}; nor is it in {self._root} (EDGESAM_LOCAL_FILES_ROOT)"
                raise Unanswerable(error.link, told) from None
            raise

    def api(self, task: Mapping[str, Any]) -> Api | None:
        """The API of this task's Label Studio; None where its address or a token for it is not known."""
        credentials = self._credentials(task)
        return Api(self._client, self._tokens, credentials) if credentials and credentials.token else None

    def _credentials(self, task: Mapping[str, Any]) -> Credentials | None:
        """The token for this task's Label Studio; an empty one where only its address is known."""
        if self._url and self._api_key:
            return Credentials(self._url, self._api_key, "LABEL_STUDIO_API_KEY")
        told = connections.recall(self._model_dir, str(task.get("project"))) if self._model_dir else None
        return Credentials(told.hostname, told.token, "/setup") if told else None

    def _in_file(self, file: Path, anew: bool) -> Found:
        try:
            about = file.stat()
        except OSError as error:
            raise _unreadable(file, error) from None
        stamp = about.st_mtime_ns, about.st_size
        known = self._files.get(file)
        if known and known[0] == stamp and not anew:
            return Found(known[1], None)
        read = found(self._read(file))
        if time.time() - about.st_mtime > CLICKS:  # two changes within a tick of the clock look like one
            self._files.put(file, (stamp, read.content))
        return read

    def _read(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                data = opened.read(self.max_bytes + 1)
        except OSError as error:
            raise _unreadable(file, error) from None
        if len(data) > self.max_bytes:
            raise Unanswerable("image", self._too_large(str(file)))
        return data

    def _on_web(self, asked: _Asked, seen: Seen | None, timeout: float, trust: float) -> Found:
        try:
            answer = self._fetched(*asked, seen, time.monotonic() + timeout)
        except Unavailable as error:
            if seen is None:
                raise
            log.warning("What an image's server gave before counts, for it does not answer", why=str(error))
            answer, trust = None, SILENCE
        until = time.monotonic() + trust
        if answer is None:
            assert seen is not None, "only who sent a validator is told that nothing changed"
            self._seen.put(asked, replace(seen, until=until))
            return Found(seen.content, None)
        fetched = found(answer.data)
        self._seen.put(asked, Seen(fetched.content, until, place_of(answer.url), answer.validators))
        self._data.put(fetched.content, answer.data)
        return fetched

    def _fetched(self, url: str, credentials: Credentials | None, seen: Seen | None, deadline: float) -> _Body | None:
        """The image, or None where it is still what was seen.

        Follows redirects by hand: who may see the token is decided anew at every step.
        """
        at, redirects, renewed = url, 0, False
        while True:
            ours = credentials if credentials and credentials.token and _same(at, credentials.url) else None
            validators = seen.validators_for(at) if seen else {}
            answer = self._asked(at, ours, validators, deadline)
            if isinstance(answer, _Body):
                return answer
            if answer.status_code == 304 and validators:
                return None
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

    def _asked(
        self, url: str, credentials: Credentials | None, validators: Mapping[str, str], deadline: float
    ) -> _Body | httpx.Response:
        """The image's bytes, or an answer that holds none: a redirect, a refusal, or that nothing changed."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                headers = {"Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity", **validators}
                if credentials:
                    headers["Authorization"] = self._tokens.header(credentials, _left(deadline))
                with self._client.stream("GET", url, headers=headers, timeout=_left(deadline)) as answer:
                    _refuse_link_local(answer)
                    if not answer.is_success:
                        return answer
                    if validators:  # it changed: what was known counts no more, and the new one may take its time
                        deadline = time.monotonic() + self._timeout
                    return _Body(self._body(answer, deadline), url, validators_in(answer.headers))
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
                raise too_slow(url)
        return bytes(data)

    def _too_large(self, what: str) -> str:
        return f"{what} is larger than the {self.max_bytes >> 20} MiB that are allowed (EDGESAM_MAX_IMAGE_MB)"


def _left(deadline: float) -> float:
    """Seconds until then, and never none."""
    return max(deadline - time.monotonic(), 0.001)


def _refuse_link_local(answer: httpx.Response) -> None:
    """Clouds tell a machine its secrets at such an address (169.254.169.254); pictures are at none."""
    stream = answer.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream else None
    if peer and ip_address(peer[0].partition("%")[0]).is_link_local:
        raise Unanswerable("image", f"{shown(str(answer.url))} is at the link-local address {peer[0]}: not fetched")


def _unreadable(file: Path, error: OSError) -> Unanswerable:
    return Unanswerable("image", f"{file} cannot be read ({error.strerror}): check its permissions")


def _same(url: str, other: str) -> bool:
    try:
        return origin(url) == origin(other)
    except httpx.InvalidURL:
        return False
