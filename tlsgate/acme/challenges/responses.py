"""Responses to challenges (RFC 8555, section 8): published, checked, and removed again.

Each response is recorded on the state volume before it is published in DNS or on the web, so that
the next process removes what a killed one left behind.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from josepy.b64 import b64encode

from tlsgate.acme.faults import AcmeFault
from tlsgate.events import emit
from tlsgate.files import write_json


@dataclass(frozen=True, slots=True)
class ChallengeResponse:
    """Proves that we control `name`. `token` and `authorization` become public."""

    name: str
    token: str
    authorization: str

    @property
    def text(self) -> str:
        """The value for DNS (RFC 8555, section 8.4)."""
        return b64encode(hashlib.sha256(self.authorization.encode()).digest()).decode()


class Solver(Protocol):
    """One kind of challenge. Every method raises AcmeFault."""

    @property
    def type(self) -> str:
        """The challenge's name in ACME."""

    def place(self, response: ChallengeResponse) -> None:
        """Publishes it where the CA looks."""

    def wait(self, response: ChallengeResponse) -> None:
        """Waits until the CA can see it."""

    def remove(self, response: ChallengeResponse) -> None:
        """Removes it; no error if it is not there."""

    def where(self, response: ChallengeResponse) -> str:
        """Where the CA looks and what we see there, for the message about a failure."""


class ChallengeResponses:
    """Publishes responses and removes them."""

    def __init__(self, solver: Solver, journal: Path) -> None:
        self.solver = solver
        self._journal = journal

    @contextmanager
    def in_place(self, responses: Sequence[ChallengeResponse]) -> Iterator[None]:
        """The responses are published and visible while the block runs."""
        self._record([*self._recorded(), *responses])
        try:
            for response in responses:
                self.solver.place(response)
            for response in responses:
                self.solver.wait(response)
            yield
        finally:
            self.clean()

    def clean(self) -> None:
        """Removes everything that is recorded; what cannot be removed now stays recorded."""
        left: list[ChallengeResponse] = []
        recorded = self._recorded()
        for response in recorded:
            try:
                self.solver.remove(response)
            except AcmeFault as fault:
                left.append(response)
                what = f"the {self.solver.type} response for {response.name} is still in place"
                next_step = "It is removed at the next attempt."
                emit("alert", what=what, reason=fault.reason, next=next_step)
        if recorded:
            self._record(left)

    def _recorded(self) -> list[ChallengeResponse]:
        try:
            values = json.loads(self._journal.read_text())
            if values["type"] != self.solver.type:
                return []  # another kind of challenge was configured: out of this one's reach
            return [ChallengeResponse(**entry) for entry in values["proofs"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    def _record(self, responses: Sequence[ChallengeResponse]) -> None:
        values = {"type": self.solver.type, "proofs": [asdict(response) for response in responses]}
        write_json(self._journal, values)
