"""Ends sessions that began under an older generation (postconf(5), check_client_access).

Postfix keeps an inbound session in the process that began it, with the rules that this process
read when it started: a reload does not reach it. So every generation has a small table of its
own, which its processes ask at each recipient and before a message's data. It is empty while the
generation is in force. Once another one is, the watcher writes answers into it, which the old
processes see at once: 421, and the peer connects again under the new rules.

A session between two messages ends at its next one. A message whose recipients were
accepted has GRACE_SECONDS until its data begins; data that has begun is never cut off, except
to free a port that no longer answers (tlsgate.generation.listeners).
"""

from __future__ import annotations

import time
from pathlib import Path

from tlsgate.generation.command import run
from tlsgate.generation.paths import Paths

FOLDER = "sessions"
GRACE_SECONDS = 60.0
RECIPIENT, DATA = "recipient", "data"
"""The keys of the table."""
_ENDED = "421 4.3.2 The rules of this gateway have changed, please connect again"
_SUFFIX = ".lmdb"


def prepare(paths: Paths, directory: Path, generation: str) -> None:
    """Makes the table of the generation in `directory`, before Postfix opens it.

    One that was in force before and is again gets a new table: the sessions of that time, which
    have the old one open, end as all others do. Raises Refused, OSError.
    """
    folder = paths.run / FOLDER
    folder.mkdir(mode=0o755, exist_ok=True)
    ended = folder / f"{generation}.ended"
    if ended.exists():
        _forget(directory, ended)
    if not (folder / f"{generation}{_SUFFIX}").exists():
        _add(directory, folder / generation, "")


def end_others(paths: Paths, generation: str) -> None:
    """Ends the sessions of every other generation at their next recipient.

    Raises Refused, OSError.
    """
    for table in (paths.run / FOLDER).glob(f"*{_SUFFIX}"):
        ended = table.with_suffix(".ended")
        if table.stem != generation and not ended.exists():
            _add(paths.active, table.with_suffix(""), f"{RECIPIENT}\t{_ENDED}\n")
            ended.touch()


def end_grace(paths: Paths, now: float | None = None) -> None:
    """Refuses the data of those whose grace is over, and forgets their tables.

    `now`: seconds since 1970. Raises Refused, OSError.
    """
    now = time.time() if now is None else now
    for ended in (paths.run / FOLDER).glob("*.ended"):
        if now - ended.stat().st_mtime >= GRACE_SECONDS:
            _forget(paths.active, ended)


def _forget(config: Path, ended: Path) -> None:
    _add(config, ended.with_suffix(""), f"{DATA}\t{_ENDED}\n")
    # Those that have it open go on reading it.
    ended.with_suffix(_SUFFIX).unlink(missing_ok=True)
    ended.unlink()


def _add(config: Path, table: Path, entries: str) -> None:
    """Adds entries to a table, in place, so that whoever has it open sees them."""
    run(["postmap", "-c", str(config), "-i", f"lmdb:{table}"], text=entries, silent=True)
