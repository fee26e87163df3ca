"""What was found out, one line each, and what could not be looked at since something before it is not well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.weights import WeightsError
from backend.settings import SettingsError

Value = TypeVar("Value")


class AmissError(Exception):
    """Something is not as it must be; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Finding(Generic[Value]):
    """good: whether it is well; None where it was not looked at. value: what later ones need, where it is well."""

    what: str
    told: str
    good: bool | None
    value: Value | None = None


def look(what: str, ask: Callable[..., tuple[str, Value]], *needed: Finding[Any]) -> Finding[Value]:
    """What `ask` finds out, called with the values of what it needs, in their order.

    ask: gives what to tell and a value, or raises what a person can put right, in words.
    """
    if missing := next((one for one in needed if not one.good), None):
        return Finding(
            what, missing.told if missing.good is None else f'skipped: first put "{missing.what}" right', None
        )
    try:
        told, value = ask(*(one.value for one in needed))
    except (AmissError, Unanswerable, WeightsError, SettingsError, OSError) as error:
        return Finding(what, str(error).replace("\n", "; "), False)
    return Finding(what, told, True, value)
