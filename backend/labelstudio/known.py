"""What is known of addresses, so that an image is not downloaded again for every click on it."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urlsplit

MANY = 4096
"""Addresses that are remembered."""

CLICKS = 2.0
"""Seconds for which a server's word holds: clicks in quick succession. Afterwards it is asked whether that changed."""

UPLOADS = 600.0
"""The same for what was uploaded to Label Studio. It gives each upload a name of its own, never another content to one,
and no ETag: to ask again would be to download again. The limit is for files that somebody exchanged on its disk."""
SILENCE = 30.0
"""The same where the server no longer answers: clicks go on, and only now and then one waits for it again."""
RECHECK = 2.0
"""Seconds for which a server is asked whether a known image changed."""
UPLOAD = re.compile(r"/data/upload/\d+/[0-9a-f]{8}-[^/?#]+")

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Found:
    """content: SHA-256 of an image file, in hex. data: its bytes; None where they are known and were not fetched."""

    content: str
    data: bytes | None = field(repr=False)


def found(data: bytes) -> Found:
    return Found(hashlib.sha256(data).hexdigest(), data)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a server gave. until: by the monotonic clock, when somebody has to be asked again.

    place: the last address of the chain of redirects, without its query, which may be signed anew each time.
    validators: the headers that ask that place whether it still gives the same.
    """

    content: str
    until: float
    place: str
    validators: Mapping[str, str]

    def validators_for(self, url: str) -> Mapping[str, str]:
        return self.validators if place_of(url) == self.place else {}


def trust_in(url: str, label_studio: str | None) -> float:
    """For how many seconds what an address gave counts without asking. label_studio: its address, if it is known."""
    uploaded = label_studio and UPLOAD.fullmatch(url.removeprefix(label_studio))
    return UPLOADS if uploaded else CLICKS


def place_of(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()


def validators_in(headers: Mapping[str, str]) -> dict[str, str]:
    """An answer's ETag, or else its time, as the next request sends it."""
    if etag := headers.get("etag"):
        return {"If-None-Match": etag}
    if changed := headers.get("last-modified"):
        return {"If-Modified-Since": changed}
    return {}


class Recent(Generic[Key, Value]):
    """A dictionary of the entries used last. Safe from many threads.

    size_of: what counts against the limit of each value; one that is too large by itself is not kept.
    """

    def __init__(self, limit: int = MANY, size_of: Callable[[Value], int] = lambda _: 1) -> None:
        self._limit, self._size_of, self._size = limit, size_of, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        with self._lock:
            if key in self._kept:
                self._size -= self._size_of(self._kept.pop(key))
            if self._size_of(value) > self._limit:
                return
            self._kept[key] = value
            self._size += self._size_of(value)
            while self._size > self._limit:
                _, oldest = self._kept.popitem(last=False)
                self._size -= self._size_of(oldest)


class Flights(Generic[Key, Value]):
    """Work that several want at once is done once; its failure too reaches all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Key, Future[Value]] = {}

    def shared(self, key: Key, work: Callable[[], Value]) -> Value:
        with self._lock:
            running = self._running.get(key)
            if running is None:
                ours = self._running[key] = Future()
        if running is not None:
            return running.result()
        try:
            ours.set_result(work())
        except BaseException as error:
            ours.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._running[key]
        return ours.result()
