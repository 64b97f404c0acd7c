"""What the helper keeps on its volume, written beside the loop that answers Postfix.

No fault of the disk stops the helper. What cannot be written stays in memory and is tried again.
What cannot be read is not empty: it is not overwritten as long as the helper runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from tlsgate.events import emit
from tlsgate.state import StateFile

T = TypeVar("T")


class KeptFile(Generic[T]):
    """`what`: its data, for alerts. `data`: gives what is to be written, in the loop's thread."""

    def __init__(self, file: StateFile[T], what: str, data: Callable[[], T]) -> None:
        self._file = file
        self._what = what
        self._data = data
        self._changed = self._failing = self._unread = False

    def load(self) -> T | None:
        """What was kept; None without a file, or one that can be used. Called once, at first."""
        try:
            return self._file.load()
        except OSError as fault:
            self._unread = True
            emit(
                "alert",
                what=f"{self._what} cannot be read",
                reason=str(fault),
                next=f"{self._file.path} is left as it is, and nothing is kept until the helper is "
                "started again. See to the volume first.",
            )
            return None

    def changed(self) -> None:
        """The data is to be written."""
        self._changed = True

    def write(self) -> None:
        """Puts the data on the disk if it has changed; says so once if that fails."""
        content = self._content()
        if content is not None:
            self._replace(content)

    async def keep(self, seconds: float) -> None:
        """Writes for ever, every so many seconds."""
        while True:
            await asyncio.sleep(seconds)
            content = self._content()
            if content is not None:
                await asyncio.to_thread(self._replace, content)

    def _content(self) -> bytes | None:
        if self._unread or not self._changed:
            return None
        self._changed = False
        return self._file.encode(self._data())

    def _replace(self, content: bytes) -> None:
        try:
            self._file.replace(content)
        except OSError as fault:
            if not self._failing:
                what = f"{self._what} cannot be kept"
                emit("alert", what=what, reason=str(fault), next="It is tried again.")
            self._changed = self._failing = True
            return
        self._failing = False
