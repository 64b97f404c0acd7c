"""Responses to challenges (RFC 8555, section 8): published, checked, and removed again.

Each response is recorded on the state volume before it is published in DNS or on the web, so that
the next process removes what a killed one left behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from josepy.b64 import b64encode

from tlsgate.acme.faults import AcmeFault
from tlsgate.events import emit
from tlsgate.record import Record
from tlsgate.state import StateFile


class ChallengeResponse(Record, frozen=True):
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


class _Journal(Record, frozen=True):
    type: str
    proofs: tuple[ChallengeResponse, ...]


class ChallengeResponses:
    """Publishes responses and removes them."""

    def __init__(self, solver: Solver, journal: Path) -> None:
        self.solver = solver
        loss = "An answer to a challenge that is still in DNS or on the web stays there."
        self._journal = StateFile(journal, _Journal, loss=loss)

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
        noted = self._journal.load()
        # Another kind of challenge that was configured before is out of this one's reach.
        return list(noted.proofs) if noted and noted.type == self.solver.type else []

    def _record(self, responses: Sequence[ChallengeResponse]) -> None:
        self._journal.update(lambda _: _Journal(self.solver.type, tuple(responses)))
