"""The file that keeps MTA-STS policies when the helper restarts: SQLite, on the state volume.

Written by one process in short transactions, with SQLite's default journal and its full
synchronisation: the process may be killed at any time, and no second file (as of a write-ahead log)
has to be kept with this one. No fault of the file or the disk stops the helper: a damaged file is
set aside, and what cannot be written is kept in memory and tried again.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tlsgate.events import emit
from tlsgate.mta_sts.policy import StsPolicy, is_id

FILE = "mta-sts.sqlite"
DAMAGED = f"{FILE}.damaged"
VERSION = 1
"""Of the table below, as `PRAGMA user_version`. A file of another version counts as damaged."""
BUSY_SECONDS = 5.0
_IN_MEMORY = "They are kept in memory, and it is tried again. Look at the disk of `policy-state`."

_TABLE = """
CREATE TABLE policy (
    domain TEXT PRIMARY KEY, id TEXT NOT NULL, mode TEXT NOT NULL, mx TEXT NOT NULL,
    max_age INTEGER NOT NULL, fetched REAL NOT NULL, used REAL NOT NULL
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO policy VALUES (?, ?, ?, ?, ?, ?, ?)"


class Row(NamedTuple):
    """A policy as the file has it: `mx` separated by spaces, times in seconds of the epoch."""

    domain: str
    policy_id: str
    mode: str
    mx: str
    max_age: int
    fetched: float
    used: float

    def policy(self) -> StsPolicy:
        """Raises ValueError, TypeError for what no policy says."""
        return StsPolicy(self.mode, tuple(self.mx.split()), self.max_age)


class PolicyFile:
    """`folder`: where it is. An alert names each fault once, until a write succeeds."""

    def __init__(self, folder: Path, report: Callable[..., None] = emit) -> None:
        self._path = folder / FILE
        self._report = report
        self.fault = ""

    def load(self) -> list[Row]:
        """What the file holds, least recently used first; nothing if it cannot be read."""
        rows: list[Row] = []
        with self._guarded("cannot be read"), closing(self._open()) as connection:
            if _begun(connection):
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise sqlite3.DatabaseError(str(found))
                rows = [_checked(row) for row in connection.execute("SELECT * FROM policy")]
        return sorted(rows, key=lambda row: row.used)

    def write(self, rows: Mapping[str, Row | None]) -> bool:
        """Puts rows, and deletes those of domains that have None.

        False if nothing was written, or if the file is a new one: all rows are needed then.
        """
        begun = False
        with self._guarded("cannot be written"), closing(self._open()) as connection:
            begun = _begun(connection)
            with connection:
                gone = [(domain,) for domain, row in rows.items() if row is None]
                connection.executemany("DELETE FROM policy WHERE domain = ?", gone)
                connection.executemany(_PUT, [row for row in rows.values() if row is not None])
            self.fault = ""
        return begun

    def put_aside(self, reason: str) -> None:
        """Renames the file; the next write begins a new one. At most one damaged file is kept."""
        what = f"the MTA-STS policies start empty; the damaged file is {DAMAGED}"
        self._alert(what, reason, "They are fetched again as mail goes there.")
        # The journal first: beside a new file it would be applied to that.
        for suffix in ("-journal", ""):
            old = self._path.with_name(FILE + suffix)
            try:
                old.replace(self._path.with_name(DAMAGED + suffix))
            except FileNotFoundError:
                continue
            except OSError as fault:
                what = "the damaged file of MTA-STS policies cannot be renamed"
                self._alert(what, str(fault), _IN_MEMORY)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        # The root file system is read-only: nowhere else to put a temporary file.
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as fault:  # the disk: full, read-only, failing
            self._alert(f"policies of MTA-STS {what}", str(fault), _IN_MEMORY)
        except (sqlite3.DatabaseError, ValueError, TypeError) as fault:
            self.put_aside(str(fault))

    def _alert(self, what: str, reason: str, next_step: str) -> None:
        if self.fault != what:
            self._report("alert", what=what, reason=reason, next=next_step)
        self.fault = what


def _checked(values: tuple[Any, ...]) -> Row:
    """What is read is checked as strictly as what was fetched. Raises ValueError, TypeError."""
    row = Row(*values)
    row.policy()
    if not isinstance(row.domain, str) or not is_id(row.policy_id):
        raise ValueError("a row is not what was written")
    if not (math.isfinite(row.fetched) and math.isfinite(row.used)):
        raise ValueError("a row has no time")
    return row


def _begun(connection: sqlite3.Connection) -> bool:
    """Whether the table existed; otherwise it is created. Raises sqlite3.Error."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return True
    if version != 0 or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise sqlite3.DatabaseError(f"it has version {version}, not {VERSION}")
    with connection:
        connection.execute("BEGIN")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    return False
