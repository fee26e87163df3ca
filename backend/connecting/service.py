"""The running backend, asked over HTTP as Label Studio asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from backend.connecting.findings import AmissError
from backend.settings import Settings

SECONDS = 10.0
CLASS = "EdgeSAMBackend"
"""What /health says that we are."""


@dataclass(frozen=True, slots=True)
class Service:
    """A backend that answers. versions: the names that it gives itself, for any project."""

    address: str
    versions: tuple[str, ...]


def own_address(settings: Settings) -> str:
    """Where a backend with these settings is found from this machine."""
    return f"http://127.0.0.1:{settings.port}"


def service_at(address: str, settings: Settings) -> tuple[str, Service]:
    """Raises AmissError where nobody answers, somebody else does, or the password is wrong."""
    with _client(address, settings) as client:
        about = _json(_answered(client, "/health"))
        if about.get("model_class") != CLASS:
            raise AmissError(
                f"{address} is answered by something else than this backend: give its address with --backend"
            )
        versions = _json(_answered(client, "/versions")).get("versions", [])
    return f"answers at {address}", Service(address, tuple(map(str, versions)))


def model_loaded(service: Service, settings: Settings) -> tuple[str, Service]:
    """What answers clicks, and how. Raises AmissError where a click would have to wait, or gets no answer at all."""
    with _client(service.address, settings) as client:
        about = _json(_answered(client, "/ready"))
    if about.get("status") == "READY":
        return f"{about.get('model_version')} is loaded", service
    if about.get("status") == "LOADING":
        raise AmissError(f"{about.get('reason')}: clicks wait for it; ask again in a minute")
    raise AmissError(f"the weights could not be loaded: {about.get('reason')}")


def _client(address: str, settings: Settings) -> httpx.Client:
    user, password = settings.basic_auth_user, settings.basic_auth_pass
    known = httpx.BasicAuth(user, password.get_secret_value()) if user and password else None
    return httpx.Client(base_url=address, auth=known, timeout=SECONDS, trust_env=False)  # a proxy knows no loopback


def _answered(client: httpx.Client, path: str) -> httpx.Response:
    address = str(client.base_url).rstrip("/") + path
    try:
        answer = client.get(path)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise AmissError(
            f"{address} cannot be reached ({type(error).__name__}: {error or 'no details'}): start the backend (make "
            "serve), or give its address with --backend"
        ) from None
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        did = "refuses the password that is set here" if client.auth else "asks for a password"
        raise AmissError(f"{address} {did}: set BASIC_AUTH_USER and BASIC_AUTH_PASS as they are where the backend runs")
    return answer


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise AmissError(f"{answer.url} answered {answer.status_code} without JSON: is that this backend?")
    return told
