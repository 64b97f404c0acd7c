"""Sessions that began under a generation do not outlive it (postconf(5), check_client_access).

Postfix keeps an inbound session in the process that began it, with the rules that this process
read when it started: a reload does not reach it. So every generation has a small table of its
own, which its processes ask before each message and before its data. It is empty while the
generation is in force. Once another one is, the watcher writes an answer into it, which the old
processes see at once: 421, and the peer connects again under the new rules. A message whose data
has begun is never cut off.
"""

from __future__ import annotations

from pathlib import Path

from tlsgate.generation.command import run
from tlsgate.generation.files import Paths

FOLDER = "sessions"
_KEY = "now"
_ENDED = "421 4.3.2 The rules of this gateway have changed, please connect again"
_SUFFIX = ".lmdb"


def prepare(paths: Paths, directory: Path, generation: str) -> None:
    """Makes the table of the generation in `directory`, before Postfix opens it.

    Raises Refused, OSError.
    """
    folder = paths.run / FOLDER
    folder.mkdir(mode=0o755, exist_ok=True)
    if not (folder / f"{generation}{_SUFFIX}").exists():
        _postmap(directory, folder / generation, "")


def end_others(paths: Paths, generation: str) -> None:
    """Ends the sessions of every other generation at their next message.

    Raises Refused, OSError.
    """
    for table in (paths.run / FOLDER).glob(f"*{_SUFFIX}"):
        if table.stem != generation:
            _postmap(paths.active, table.with_suffix(""), f"{_KEY}\t{_ENDED}\n")
            # Those that have it open go on reading it.
            table.unlink()


def _postmap(config: Path, table: Path, entries: str) -> None:
    """Adds entries to a table, in place, so that whoever has it open sees them."""
    run(["postmap", "-c", str(config), "-i", f"lmdb:{table}"], text=entries, silent=True)
