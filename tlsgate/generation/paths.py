"""Where things are in a container that follows generations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tlsgate.generation.contract import RUN

KEPT_GENERATIONS = 5


@dataclass(frozen=True, slots=True)
class Paths:
    """`config`: the volume of generations. `keys`: of certificates. `run`: a tmpfs. `state`: a
    file on the data volume, for the last generation that was in force; None without such a volume.
    """

    config: Path = Path("/config")
    keys: Path = Path("/keys")
    run: Path = Path(RUN)
    state: Path | None = None

    @property
    def generations(self) -> Path:
        """One directory a generation."""
        return self.config / "generations"

    @property
    def current(self) -> Path:
        """The symlink to the generation that is wanted."""
        return self.config / "current"

    @property
    def active(self) -> Path:
        """The symlink to the generation in force."""
        return self.run / "active"

    @property
    def active_id(self) -> Path:
        """The id of the generation in force and when it was installed, as one line."""
        return self.run / "active-id"

    @property
    def refused(self) -> Path:
        """JSON: the generation that was refused last, and why."""
        return self.run / "refused.json"

    @property
    def heartbeat(self) -> Path:
        """Touched by the watcher at each look."""
        return self.run / "heartbeat"

    @property
    def https(self) -> Path:
        """nginx's way to the certificates; absent until they are staged."""
        return self.run / "https.conf"

    def staged(self, certificate: str) -> Path:
        """Key and chain as the server reads them."""
        return self.run / "tls" / f"{certificate}.pem"
