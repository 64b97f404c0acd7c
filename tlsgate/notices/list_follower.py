"""The list of the generation in force, read again when `current` points to another one.

It is looked at for each notice: Postfix takes a generation up after the switch, so no notice is
judged by an older list than the one that its message was sent under. A list that cannot be read
is an error and not the one before: a partner that is new in it would not be protected.
"""

from __future__ import annotations

import threading
from pathlib import Path

from tlsgate.notices.domain_list import LISTED, Listed, read_listed


class Following:
    """`current`: the symlink that a delivery switches. For any number of threads."""

    def __init__(self, current: Path) -> None:
        self._current = current
        self._lock = threading.Lock()
        self._held: tuple[Path, Listed] | None = None

    def listed(self) -> Listed:
        """The list in force. Raises OSError, ValueError."""
        with self._lock:
            directory = self._current.parent / self._current.readlink()
            if self._held is None or self._held[0] != directory:
                self._held = directory, read_listed((directory / LISTED).read_bytes())
            return self._held[1]
