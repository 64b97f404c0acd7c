"""Where the agent's volumes are mounted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """`config`: agent.json. `state`: the ACME state volume. `keys`: below it, one mount a volume
    of certificates. `heartbeat`: touched by the loop, in the container's own tmpfs; says how it is.
    """

    config: Path = Path("/config/agent.json")
    state: Path = Path("/acme")
    keys: Path = Path("/keys")
    heartbeat: Path = Path("/tmp/tlsgate-agent-heartbeat")  # noqa: S108  # a tmpfs of its own

    @property
    def lock(self) -> Path:
        """Held by the process that talks to the CA."""
        return self.state / "lock"

    @property
    def failures(self) -> Path:
        """The failed attempts and when the next one is due."""
        return self.state / "failures.json"

    @property
    def renewals(self) -> Path:
        """When the CAs suggest to renew each certificate."""
        return self.state / "renewals.json"

    @property
    def proofs(self) -> Path:
        """The challenge responses that are published now."""
        return self.state / "proofs.json"

    @property
    def tlsa(self) -> Path:
        """The TLSA records that were published and seen."""
        return self.state / "tlsa.json"

    @property
    def rollovers(self) -> Path:
        """The key roll-overs under way."""
        return self.state / "rollovers.json"

    @property
    def forced(self) -> Path:
        """The generations that a person asked to renew."""
        return self.state / "forced.json"

    def account(self, directory: str) -> Path:
        """The directory of the account at one CA, of its orders and of what the CA has counted."""
        return self.state / "accounts" / hashlib.sha256(directory.encode()).hexdigest()[:16]

    def certificate(self, volume: str, name: str) -> Path:
        """The directory of one certificate."""
        return self.keys / volume / name
