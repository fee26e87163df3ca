"""The file learning.sqlite: its tables, and transactions on it. Several processes write it; a power cut undoes nothing.

A connection lives for one transaction: opening one takes 0.1 ms, and none is ever shared by threads or over a fork.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

FILE = "learning.sqlite"
BUSY_SECONDS = 5.0
"""A transaction waits so long for another one; each takes milliseconds."""

BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
"""The lowest byte of an error's code: above it stands which kind of it."""

SCHEMA = 2
TABLES = """
CREATE TABLE IF NOT EXISTS annotation (
    project TEXT NOT NULL,
    number INTEGER NOT NULL,
    task INTEGER NOT NULL,
    data TEXT NOT NULL,
    result TEXT NOT NULL,
    updated TEXT NOT NULL,
    regions INTEGER NOT NULL,
    fresh INTEGER NOT NULL,
    PRIMARY KEY (project, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    made TEXT NOT NULL,
    started TEXT,
    ended TEXT,
    told TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS job_by_state ON job (state, project);
CREATE TABLE IF NOT EXISTS version (
    project TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    base TEXT NOT NULL,
    promoted INTEGER NOT NULL,
    metrics TEXT NOT NULL,
    made TEXT NOT NULL,
    job INTEGER,
    PRIMARY KEY (project, number),
    UNIQUE (project, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS serving (project TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS named (project TEXT PRIMARY KEY, version TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS chosen (project TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
"""
"""annotation.regions, .fresh: how many regions it has, and how many are new since a job of the project was queued.
serving: the version that answers; no row is the base. named: the version that Label Studio's project named last.
chosen: how often a person has chosen what answers, since schema 2."""


@contextmanager
def connected(folder: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that may write: all of it or, where an exception leaves the block, nothing.

    folder: MODEL_DIR; made with the file where missing. Raises OSError or sqlite3.Error where it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(_opened(folder / FILE)) as connection:
        if _schema(connection) < SCHEMA:
            _make_tables(connection)
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            yield connection


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A transaction that only reads; where there is no file yet, or one without tables, empty ones. sqlite3.Error."""
    place = folder / FILE
    with closing(_with_tables(place) if place.exists() else _empty()) as connection:
        connection.execute("BEGIN")
        yield connection


def now() -> str:
    """The time as the tables hold it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _opened(place: Path) -> sqlite3.Connection:
    """Raises sqlite3.DatabaseError, which names the file."""
    try:
        connection = sqlite3.connect(place, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise sqlite3.DatabaseError(f"{place}: {error}") from error
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten: Debian's default, not all's
        schema = _schema(connection)
    except sqlite3.Error as error:
        connection.close()
        raise sqlite3.DatabaseError(f"{place}: {error}") from error
    if schema > SCHEMA:
        connection.close()
        raise sqlite3.DatabaseError(f"{place} was written by a newer release (schema {schema}): update, or move it")
    return connection


def _with_tables(place: Path) -> sqlite3.Connection:
    """To read: a disk that was full left a file without tables, and is full still."""
    connection = _opened(place)
    if _schema(connection):
        return connection
    connection.close()
    return _empty()


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.executescript(TABLES)
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    _write_ahead(connection)
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if _schema(connection) < SCHEMA:  # another process may have been faster
            for statement in TABLES.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Two processes that switch a new file at once: SQLite refuses one without the wait that it has for all else."""
    give_up = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _schema(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
