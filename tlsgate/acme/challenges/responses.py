"""Answers to challenges (RFC 8555, section 8): put in place, seen, and taken away again.

What stands in DNS or on the web is recorded on the state volume before it is put there, so that a
process that is killed leaves nothing behind for longer than until the next one.
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
    """That we control `name`. `token` and `authorization` are public once they are in place."""

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

    def place(self, proof: ChallengeResponse) -> None:
        """Put it where the CA looks."""

    def wait(self, proof: ChallengeResponse) -> None:
        """Until the CA can see it."""

    def remove(self, proof: ChallengeResponse) -> None:
        """Take it away; no fault if it is not there."""

    def where(self, proof: ChallengeResponse) -> str:
        """Where the CA looks and what is seen there from here, for a report of failure."""


class _Journal(Record, frozen=True):
    type: str
    proofs: tuple[ChallengeResponse, ...]


class ChallengeResponses:
    """Places answers and takes them away."""

    def __init__(self, solver: Solver, journal: Path) -> None:
        self.solver = solver
        loss = "An answer to a challenge that is still in DNS or on the web stays there."
        self._journal = StateFile(journal, _Journal, loss=loss)

    @contextmanager
    def in_place(self, proofs: Sequence[ChallengeResponse]) -> Iterator[None]:
        """The answers stand and can be seen while the block runs."""
        self._record([*self._recorded(), *proofs])
        try:
            for proof in proofs:
                self.solver.place(proof)
            for proof in proofs:
                self.solver.wait(proof)
            yield
        finally:
            self.clean()

    def clean(self) -> None:
        """Takes away whatever is recorded; what cannot be taken away now stays recorded."""
        left: list[ChallengeResponse] = []
        recorded = self._recorded()
        for proof in recorded:
            try:
                self.solver.remove(proof)
            except AcmeFault as fault:
                left.append(proof)
                what = f"the {self.solver.type} answer for {proof.name} is still in place"
                next_step = "It is removed at the next attempt."
                emit("alert", what=what, reason=fault.reason, next=next_step)
        if recorded:
            self._record(left)

    def _recorded(self) -> list[ChallengeResponse]:
        noted = self._journal.load()
        # Another kind of challenge that was configured before is out of this one's reach.
        return list(noted.proofs) if noted and noted.type == self.solver.type else []

    def _record(self, proofs: Sequence[ChallengeResponse]) -> None:
        self._journal.update(lambda _: _Journal(self.solver.type, tuple(proofs)))
