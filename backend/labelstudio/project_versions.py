"""Which engine answers a project: the base's, or that of a version which learned from what its annotators accepted.

Asked in every request, so a version that is chosen or rolled back counts from the next request on, in every process
and without a restart. A version loads beside the requests; until it is there, what answered before goes on.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from backend.accepted.annotations import full_name
from backend.accepted.versions import Version, current
from backend.segmentation.engines import Engine
from backend.segmentation.weights import WeightsError

KEPT = 4
"""Projects whose version stays in memory, 160 MiB each. Another one's is loaded again, in about a second."""

AGAIN_SECONDS = 300.0
"""After so long a version that could not be loaded is tried again: there may be room on the disk by then."""

log = structlog.stdlib.get_logger("edgesam.versions")


@dataclass(frozen=True, slots=True)
class _Loaded:
    version: Version
    engine: Engine


class ProjectVersions:
    """The versions of one process.

    folder: MODEL_DIR. load: makes the engine of a version, given the base's; may take seconds, may raise.
    """

    def __init__(self, folder: Path, load: Callable[[Engine, Version], Engine]) -> None:
        self._folder = folder
        self._load = load
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._known_good: dict[str, tuple[str, str, str]] = {}
        """By project: what was loaded last, whose files are there still. To load it again takes a second."""
        self._unusable: dict[tuple[str, str, str], float] = {}
        self._foreign: set[tuple[str, str, str]] = set()
        """Learned from other weights, and told so."""
        self._on_their_way: set[tuple[str, str, str]] = set()
        self._changing = threading.Lock()
        self._turn = threading.Lock()
        self._unreadable = False

    def engine_for(self, base: Engine, project: str | None) -> Engine:
        """The engine that answers this project now. project: "<id>.<time it was made>", or its id alone."""
        chosen = self._chosen(project)
        if chosen is None or not self._belongs(base, chosen):
            return base
        with self._changing:
            held = self._loaded.get(chosen.project)
            if held and _key(held.version) == _key(chosen):
                self._loaded.move_to_end(chosen.project)
                return held.engine
            evicted = held is None and self._known_good.get(chosen.project) == _key(chosen)
        if evicted:
            self._bring(base, chosen)
            held = self._loaded.get(chosen.project)
        else:
            self._bring_in_background(base, chosen)
        return held.engine if held else base

    def engine_once_loaded(self, base: Engine, project: str | None) -> Engine:
        """As `engine_for`, for whom nobody waits: a version that is not there yet is loaded first."""
        chosen = self._chosen(project)
        if chosen is not None and self._belongs(base, chosen) and self._may_be_usable(chosen):
            self._bring(base, chosen)
        return self.engine_for(base, project)

    def name_for(self, base: str, project: str | None) -> str:
        """What answers to this project are called: its version's name, or `base` where the base's engine answers.

        A version on its way is named already, and one that cannot be used is not.
        """
        chosen = self._chosen(project)
        if chosen is None or not _learned_from(base, chosen):
            return base
        if self._may_be_usable(chosen):
            return chosen.name
        held = self._loaded.get(chosen.project)
        return held.version.name if held else base

    def _chosen(self, project: str | None) -> Version | None:
        if project is None:
            return None
        try:
            name = project if "." in project else full_name(self._folder, project)
            chosen = current(self._folder, name)
        except sqlite3.Error as error:
            if not self._unreadable:
                log.error("versions_unreadable", folder=str(self._folder), message=str(error))
            self._unreadable = True
            held = self._loaded.get(project)
            return held.version if held else None
        self._unreadable = False
        if chosen is None:
            with self._changing:
                self._loaded.pop(name, None)
                self._known_good.pop(name, None)  # a job may remove what engines made of a version that does not serve
        return chosen

    def _belongs(self, base: Engine, version: Version) -> bool:
        """Whether it learned from these weights. Where it did not, they answer, and the log says so once."""
        if _learned_from(base.version, version):
            return True
        with self._changing:
            known = _key(version) in self._foreign
            self._foreign.add(_key(version))
        if not known:
            why = f"it was learned from other weights ({version.base}) than those that answer: {base.version}"
            log.warning("version_unusable", version=version.name, message=why)
        return False

    def _bring_in_background(self, base: Engine, version: Version) -> None:
        key = _key(version)
        with self._changing:
            if key in self._on_their_way or not self._may_be_usable(version):
                return
            self._on_their_way.add(key)
        threading.Thread(target=self._bring, args=(base, version), name="version", daemon=True).start()

    def _may_be_usable(self, version: Version) -> bool:
        return time.monotonic() >= self._unusable.get(_key(version), 0.0)

    def _bring(self, base: Engine, version: Version) -> None:
        """Load a version; from here on it answers. One at a time: it takes cores from those who click."""
        began = time.perf_counter()
        with self._turn:
            if (held := self._loaded.get(version.project)) and _key(held.version) == _key(version):
                return  # somebody else was faster
            try:
                engine = self._load(base, version)
            except Exception as error:
                self._unusable[_key(version)] = time.monotonic() + AGAIN_SECONDS
                ours = isinstance(error, WeightsError)
                log.error("version_unusable", version=version.name, message=str(error), exc_info=not ours)
                return
            finally:
                self._on_their_way.discard(_key(version))
            with self._changing:
                self._known_good[version.project] = _key(version)
                self._loaded[version.project] = _Loaded(version, engine)
                self._loaded.move_to_end(version.project)
                while len(self._loaded) > KEPT:
                    self._loaded.popitem(last=False)
        log.info("version_loaded", version=version.name, seconds=round(time.perf_counter() - began, 2))


def _key(version: Version) -> tuple[str, str, str]:
    return version.project, version.name, version.sha256


def _learned_from(base: str, version: Version) -> bool:
    """base: "<name>-<first eight digits of its hash>"."""
    return version.base == base.rpartition("-")[2]
