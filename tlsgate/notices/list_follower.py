"""The list of the generation in force, read again when `current` points to another one.

The symlink is read for each notice: Postfix loads a generation after the switch, so no notice is
judged by an older list than the one that its message was sent under. If the list cannot be read,
that is an error; the previous list is not used, because a new partner would not be protected.
"""

from __future__ import annotations

import threading
from pathlib import Path

from tlsgate.notices.domain_list import DOMAIN_LIST, DomainList, read_domain_list


class ListFollower:
    """`current`: the symlink that a delivery switches. For any number of threads."""

    def __init__(self, current: Path) -> None:
        self._current = current
        self._lock = threading.Lock()
        self._held: tuple[Path, DomainList] | None = None

    def domain_list(self) -> DomainList:
        """The list in force. Raises OSError, ValueError."""
        with self._lock:
            directory = self._current.parent / self._current.readlink()
            if self._held is None or self._held[0] != directory:
                self._held = directory, read_domain_list((directory / DOMAIN_LIST).read_bytes())
            return self._held[1]
