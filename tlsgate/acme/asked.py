"""What stands on the state volume about single certificates: roll-overs, and asked-for renewals.

Both files are read anew each time and written under the lock, by the agent and by a person's
commands. A file that cannot be read counts as empty: a roll-over is then begun again, with the
next key that lies on the key volume.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from tlsgate.acme.rollover import Rollover, Step
from tlsgate.files import write_json


class Rollovers:
    """rollovers.json: `<volume>/<name>` → the roll-over under way."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, certificate: str) -> Rollover | None:
        """None where no key is being changed."""
        return self._read().get(certificate)

    def put(self, certificate: str, state: Rollover | None) -> None:
        """Keeps the state; None forgets it."""
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
            for name, values in _mapping(self._path).items()
            if (state := _rollover(values)) is not None
        }


class Forced:
    """forced.json: `<volume>/<name>` → the generation that is to be replaced, whatever its age.

    The generation, so that nothing is renewed twice if the wish is not taken away in time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, certificate: str) -> str | None:
        """The id of the generation."""
        found = _mapping(self._path).get(certificate)
        return found if isinstance(found, str) else None

    def put(self, certificate: str, generation: str | None) -> None:
        """Keeps the wish; None forgets it."""
        wishes = _mapping(self._path)
        if wishes.get(certificate) == generation:
            return
        wishes.pop(certificate, None)
        if generation is not None:
            wishes[certificate] = generation
        write_json(self._path, wishes)


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


def _mapping(path: Path) -> dict[str, object]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
