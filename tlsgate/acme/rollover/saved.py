"""The roll-overs under way, on the state volume.

The file is read at each use and written under the lock, by the agent and by a person's commands.
"""

from __future__ import annotations

from pathlib import Path

from tlsgate.acme.rollover.state_machine import Rollover
from tlsgate.state import StateMap


class Rollovers(StateMap[Rollover]):
    """rollovers.json: `<volume>/<name>` → the roll-over under way; none where no key is changed."""

    def __init__(self, path: Path) -> None:
        loss = "A roll-over under way begins again, with the next key that is on the key volume."
        super().__init__(path, Rollover, loss=loss)
