"""Why an image did not come, in words that say what to do. Users meet these more often than anything else."""

from __future__ import annotations

import httpx

from backend.labelstudio.addresses import shown
from backend.labelstudio.tokens import Credentials
from backend.labelstudio.unanswerable import Unanswerable, Unavailable, is_no_word

LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104  recognised, not listened on


def unreachable(url: str, error: Exception) -> Unanswerable:
    """No answer at all."""
    if isinstance(error, httpx.InvalidURL):
        return Unanswerable("image", f"{shown(url)} is not an address ({error}): check the task's data")
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return too_slow(url)
    told = f"{shown(url)} cannot be reached ({type(error).__name__}: {error or 'no details'})"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        told += "; give the certificate of who signed the server's with SSL_CERT_FILE=/path/to/authority.pem"
    elif httpx.URL(url).host in LOOPBACK:
        told += (
            "; inside a container this name means the container itself: use an address that this service reaches, such "
            "as http://host.docker.internal:8080 or http://label-studio:8080, and for Label Studio's own set "
            "LABEL_STUDIO_URL to it"
        )
    return Unavailable(told)


def too_slow(url: str) -> Unavailable:
    """The beginning of an answer at most."""
    return Unavailable(f"{shown(url)} took too long (EDGESAM_IMAGE_TIMEOUT)")


def too_large(what: str, most: int) -> Unanswerable:
    """More bytes than `most`."""
    return Unanswerable("image", f"{what} is larger than the {most >> 20} MiB that are allowed (EDGESAM_MAX_IMAGE_MB)")


def not_an_image(answer: httpx.Response) -> Unanswerable:
    """A page or JSON where an image was asked for."""
    kind = answer.headers.get("content-type", "")
    return Unanswerable(
        "image",
        f"{shown(str(answer.url))} answered with {kind} instead of an image: a page to log in, or not an address of an "
        "image; check the task's data, and LABEL_STUDIO_URL where the address is one of Label Studio",
    )


def refused(
    answer: httpx.Response,
    sent: Credentials | None,
    known: Credentials | None,
    label_studio_url: str | None,
    has_key: bool,
) -> Unanswerable:
    """A status that is no success. sent: the token that went along; known: the one we have, for whichever address."""
    told = f"{shown(str(answer.url))} answered {answer.status_code}"
    if answer.status_code == 404:
        return Unanswerable("image", f"{told}: no such file there, or the token's user may not see it")
    if is_no_word(answer.status_code):
        return Unavailable(told)
    if answer.status_code not in (401, 403):
        return Unanswerable("image", told)
    if sent and sent.personal:
        return Unanswerable(
            "label studio",
            f"{told} to the personal access token of {sent.given_by}: its user may not see this project's files",
        )
    if sent:
        return Unanswerable(
            "label studio",
            f"{told} to the legacy token of {sent.given_by}: Label Studio refuses these unless the organisation "
            "allows them; set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY to a personal access token "
            "(Account & Settings)",
        )
    if has_key and not label_studio_url:
        return Unanswerable(
            "label studio",
            f"{told}, and LABEL_STUDIO_API_KEY was not sent because LABEL_STUDIO_URL is not set: set it to Label "
            "Studio's address, for only that may see the key",
        )
    if known:
        return Unanswerable("image", f"{told}; no token was sent, for it is not Label Studio's address {known.url}")
    return Unanswerable(
        "label studio",
        f"{told}, and no token is known: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY (a personal access token)",
    )
