"""The roll-overs under way, on the state volume.

The file is read at each use and written under the lock, by the agent and by a person's commands.
An unreadable file counts as empty: a roll-over then begins again, with the next key that is on the
key volume.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tlsgate.acme.rollover.state_machine import Rollover, Step
from tlsgate.acme.state.json_file import read_mapping
from tlsgate.files import write_json


class Rollovers:
    """rollovers.json: `<volume>/<name>` → the roll-over under way."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, certificate: str) -> Rollover | None:
        """None where no key is being changed."""
        return self._read().get(certificate)

    def put(self, certificate: str, state: Rollover | None) -> None:
        """Saves the state; None deletes it."""
        states = self._read()
        if states.get(certificate) == state:
            return
        states.pop(certificate, None)
        if state is not None:
            states[certificate] = state
        write_json(self._path, {name: rollover_values(one) for name, one in states.items()})

    def _read(self) -> dict[str, Rollover]:
        return {
            name: state
            for name, values in read_mapping(self._path).items()
            if (state := _rollover(values)) is not None
        }


def rollover_values(state: Rollover) -> dict[str, object]:
    """JSON-able."""
    return {
        "step": state.step.value,
        "reason": state.reason,
        "begun": state.begun.isoformat(),
        "old": state.old,
        "new": state.new,
        "now": state.now,
        "revoke": state.revoke,
        "switched": state.switched.isoformat() if state.switched else None,
    }


def _rollover(values: object) -> Rollover | None:
    if not isinstance(values, dict):
        return None
    try:
        return Rollover(
            step=Step(values["step"]),
            reason=values["reason"],
            begun=datetime.fromisoformat(values["begun"]),
            old=values["old"],
            new=values["new"],
            now=values["now"],
            revoke=values["revoke"],
            switched=datetime.fromisoformat(values["switched"]) if values["switched"] else None,
        )
    except (ValueError, KeyError, TypeError):
        return None
