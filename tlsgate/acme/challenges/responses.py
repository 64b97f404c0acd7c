"""Answers to challenges (RFC 8555, section 8): put in place, seen, and taken away again.

What stands in DNS or on the web is noted on the state volume before it is put there, so that a
process that is killed leaves nothing behind for longer than until the next one.
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
class Proof:
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

    def place(self, proof: Proof) -> None:
        """Put it where the CA looks."""

    def wait(self, proof: Proof) -> None:
        """Until the CA can see it."""

    def remove(self, proof: Proof) -> None:
        """Take it away; no fault if it is not there."""

    def where(self, proof: Proof) -> str:
        """Where the CA looks and what is seen there from here, for a report of failure."""


class Proofs:
    """Places answers and takes them away."""

    def __init__(self, solver: Solver, journal: Path) -> None:
        self.solver = solver
        self._journal = journal

    @contextmanager
    def standing(self, proofs: Sequence[Proof]) -> Iterator[None]:
        """The answers stand and can be seen while the block runs."""
        self._note([*self._noted(), *proofs])
        try:
            for proof in proofs:
                self.solver.place(proof)
            for proof in proofs:
                self.solver.wait(proof)
            yield
        finally:
            self.clean()

    def clean(self) -> None:
        """Takes away whatever is noted; what cannot be taken away now stays noted."""
        left: list[Proof] = []
        noted = self._noted()
        for proof in noted:
            try:
                self.solver.remove(proof)
            except AcmeFault as fault:
                left.append(proof)
                what = f"the {self.solver.type} answer for {proof.name} is still in place"
                next_step = "It is removed at the next attempt."
                emit("alert", what=what, reason=fault.reason, next=next_step)
        if noted:
            self._note(left)

    def _noted(self) -> list[Proof]:
        try:
            values = json.loads(self._journal.read_text())
            if values["type"] != self.solver.type:
                return []  # another kind of challenge was configured: out of this one's reach
            return [Proof(**entry) for entry in values["proofs"]]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return []

    def _note(self, proofs: Sequence[Proof]) -> None:
        values = {"type": self.solver.type, "proofs": [asdict(proof) for proof in proofs]}
        write_json(self._journal, values)
