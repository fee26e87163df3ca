"""An image's bytes from a web server: whom the token is shown, how often it may send on, how large, how long."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

import httpx

from backend.labelstudio.addresses import shown
from backend.labelstudio.failures import not_an_image, refused, too_large, too_slow, unreachable
from backend.labelstudio.known import Seen, validators_in
from backend.labelstudio.tokens import Credentials, Tokens, origin
from backend.labelstudio.unanswerable import Unanswerable

REDIRECTS = 5
ATTEMPTS = 2
"""A kept-alive connection that the server closed meanwhile is no failure: the second one is new."""


@dataclass(frozen=True, slots=True)
class Body:
    """What an address gave, and how to ask it whether that changed."""

    data: bytes
    url: str
    validators: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Downloads:
    """Safe from many threads. timeout: seconds for one image. max_bytes: the largest file.

    label_studio_url, has_key: what the settings say, for messages.
    """

    client: httpx.Client
    tokens: Tokens
    timeout: float
    max_bytes: int
    label_studio_url: str | None
    has_key: bool

    def fetched(self, url: str, credentials: Credentials | None, seen: Seen | None, deadline: float) -> Body | None:
        """The image, or None where it is still what was seen.

        Follows redirects by hand: who may see the token is decided anew at every step.
        """
        at, redirects, renewed = url, 0, False
        while True:
            ours = credentials if credentials and credentials.token and _same(at, credentials.url) else None
            validators = seen.validators_for(at) if seen else {}
            answer = self._asked(at, ours, validators, deadline)
            if isinstance(answer, Body):
                return answer
            if answer.status_code == 304 and validators:
                return None
            if answer.status_code == 401 and ours and ours.personal and not renewed:
                self.tokens.forget(ours)
                renewed = True
                continue
            if not answer.has_redirect_location:
                raise refused(answer, ours, credentials, self.label_studio_url, self.has_key)
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
    ) -> Body | httpx.Response:
        """The image's bytes, or an answer that holds none: a redirect, a refusal, or that nothing changed."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                headers = {"Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity", **validators}
                if credentials:
                    headers["Authorization"] = self.tokens.header(credentials, _left(deadline))
                with self.client.stream("GET", url, headers=headers, timeout=_left(deadline)) as answer:
                    _refuse_link_local(answer)
                    if not answer.is_success:
                        return answer
                    if validators:  # it changed: what was known counts no more, and the new one may take its time
                        deadline = time.monotonic() + self.timeout
                    return Body(self._body(answer, deadline), url, validators_in(answer.headers))
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
            raise too_large(shown(url), self.max_bytes)
        data = bytearray()
        for chunk in answer.iter_bytes():
            data += chunk
            if len(data) > self.max_bytes:
                raise too_large(shown(url), self.max_bytes)
            if time.monotonic() > deadline:
                raise too_slow(url)
        return bytes(data)


def _left(deadline: float) -> float:
    """Seconds until then, and never none."""
    return max(deadline - time.monotonic(), 0.001)


def _refuse_link_local(answer: httpx.Response) -> None:
    """Clouds tell a machine its secrets at such an address (169.254.169.254); pictures are at none."""
    stream = answer.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream else None
    if peer and ip_address(peer[0].partition("%")[0]).is_link_local:
        raise Unanswerable("image", f"{shown(str(answer.url))} is at the link-local address {peer[0]}: not fetched")


def _same(url: str, other: str) -> bool:
    try:
        return origin(url) == origin(other)
    except httpx.InvalidURL:
        return False
