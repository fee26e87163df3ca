"""An address in a task -> the image's bytes, or that they are known. Where from, how large, how long: limited."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
import structlog

from backend.labelstudio import addresses, connections
from backend.labelstudio.addresses import shown
from backend.labelstudio.client import Api
from backend.labelstudio.downloads import Downloads
from backend.labelstudio.failures import too_large
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
)
from backend.labelstudio.tokens import Credentials, Tokens
from backend.labelstudio.unanswerable import Unanswerable, Unavailable

KEPT = 8 << 20
"""Bytes of files that came last: windows of their pictures need them soon, often with the next click."""

_Asked = tuple[str, Credentials | None]
"""An address, and for whom: what one token got is not another's."""

log = structlog.get_logger()


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
        client = httpx.Client(timeout=timeout, transport=transport, cookies=no_cookies)
        self._downloads = Downloads(client, Tokens(client), timeout, max_bytes, self._url, bool(self._api_key))
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
        return (
            Api(self._downloads.client, self._downloads.tokens, credentials)
            if credentials and credentials.token
            else None
        )

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
            raise too_large(str(file), self.max_bytes)
        return data

    def _on_web(self, asked: _Asked, seen: Seen | None, timeout: float, trust: float) -> Found:
        try:
            answer = self._downloads.fetched(*asked, seen, time.monotonic() + timeout)
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


def _unreadable(file: Path, error: OSError) -> Unanswerable:
    return Unanswerable("image", f"{file} cannot be read ({error.strerror}): check its permissions")
