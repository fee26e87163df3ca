"""What is connected to a project, which of it the page asks, and connecting this backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from backend.connecting.findings import AmissError
from backend.connecting.service import Service
from backend.labelstudio.client import Api
from backend.labelstudio.models import CONNECTED, Connecting, Model
from backend.labelstudio.unanswerable import Unanswerable

PRIVATE = ("private network", "reserved network")
"""In Label Studio's words where it refuses a private address."""
PASSWORD = "authentication parameters"  # noqa: S105  words, as above
"""In its words where the backend answered it with 401."""


@dataclass(frozen=True, slots=True)
class Connected:
    """All models of a project, in the order in which the page looks at them, and which of them this backend is."""

    models: tuple[Model, ...]
    ours: Model


def model_connected(api: Api, number: int, service: Service) -> tuple[str, Connected]:
    """The model that is this backend: one with its address, or one that told Label Studio, which may reach it at
    another, one of its versions. Raises AmissError where none is, or Label Studio does not reach it."""
    models = api.models(number)
    ours = [one for one in models if _same(one.url, service.address) or one.version in service.versions]
    command = f"python -m backend connect --project {number}"
    if not ours:
        others = f"but only {', '.join(one.url for one in models)}" if models else "nor is any other model"
        raise AmissError(f"this backend, {service.address}, is not connected to the project, {others}: {command}")
    found = next((one for one in ours if one.interactive), ours[0])
    if found.state != CONNECTED:
        why = f"it says: {found.error}" if found.error else "it does not reach it there, or not with this password"
        raise AmissError(
            f'{found.url} is connected, but Label Studio calls it "{found.state}": {why}; to hear more: {command} '
            f"--backend {found.url}"
        )
    told = f"Label Studio reaches this backend at {found.url}"
    if not _same(found.url, service.address):
        told += f" (known by its version; if that is another one: {command} --backend ADDRESS)"
    return told, Connected(tuple(models), found)


def asked_first(connected: Connected, number: int) -> tuple[str, Model]:
    """This backend, where the page asks it. Raises AmissError where it asks another model, or none."""
    ours = connected.ours
    if not ours.interactive:
        raise AmissError(
            f"Interactive preannotations is off for {ours.url}, so the page never asks it: python -m backend connect "
            f"--project {number} --backend {ours.url}"
        )
    first = next(one for one in connected.models if one.interactive)
    if first != ours:
        raise AmissError(
            f"the page asks the first model with Interactive preannotations only, and that is {first.url}: switch it "
            "off there, or delete that model (project, Settings, Model, the three dots)"
        )
    return "is on, and this backend is the one that the page asks", ours


def connect(api: Api, number: int, wanted: Connecting, versions: Sequence[str] = ()) -> tuple[str, Connected]:
    """Connects, or makes what is connected at this address as it is `wanted`; says which. Raises AmissError that says
    what to do where Label Studio refuses.

    versions: this backend's. One of these that Label Studio reaches at another address counts as connected.
    """
    models = api.models(number)
    there = next((one for one in models if _same(one.url, wanted.url)), None)
    known_by = ""
    if there is None and (known := [one for one in models if one.version in versions and one.state == CONNECTED]):
        there, wanted = known[0], replace(wanted, url=known[0].url)
        known_by = " (known by its version; if that is another one, give --backend ADDRESS)"
    if there is None or not there.interactive or there.state != CONNECTED:
        try:
            api.connect(number, wanted, there.number if there else None)
        except Unanswerable as error:
            raise _explained(error, wanted.url) from None
    _, connected = model_connected(api, number, Service(wanted.url, ()))
    if there is None:
        return f"{wanted.url} is connected now, with Interactive preannotations on", connected
    changed = "" if there.interactive else "; Interactive preannotations was off, and is on now"
    return f"{wanted.url} was connected already{known_by}{changed}", connected


def _explained(error: Unanswerable, url: str) -> AmissError:
    if any(words in str(error) for words in PRIVATE):
        return AmissError(
            f"Label Studio refuses {url}, since it is a private address: start Label Studio with "
            "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false (README, step 1)"
        )
    if PASSWORD in str(error):
        return AmissError(f"{url} refuses the password: set BASIC_AUTH_USER and BASIC_AUTH_PASS here as they are there")
    return AmissError(
        f"{error}; is {url} where Label Studio, from where it runs, reaches this backend? In a container localhost is "
        "the container itself: give another address with --backend"
    )


def _same(one: str, other: str) -> bool:
    """Whether two addresses differ in a last slash at most."""
    return one.rstrip("/") == other.rstrip("/")
