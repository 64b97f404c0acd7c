"""http-01 (RFC 8555, section 8.3): a file that the policy host serves on port 80."""

from __future__ import annotations

from pathlib import Path

from tlsgate.acme.challenges.responses import Proof
from tlsgate.acme.faults import AcmeFault
from tlsgate.files import write

_PLACE = Path(".well-known/acme-challenge")


class Http01:
    """Token files below a folder."""

    type = "http-01"

    def __init__(self, directory: Path) -> None:
        self._directory = directory / _PLACE

    def place(self, proof: Proof) -> None:
        """Writes the file, readable to the web server's user."""
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            write(self._directory / proof.token, proof.authorization.encode(), mode=0o644)
        except OSError as fault:
            raise _unusable(self._directory, fault) from fault

    def wait(self, proof: Proof) -> None:
        """A file is there at once."""

    def remove(self, proof: Proof) -> None:
        """Deletes the file."""
        try:
            (self._directory / proof.token).unlink(missing_ok=True)
        except OSError as fault:
            raise _unusable(self._directory, fault) from fault

    def where(self, proof: Proof) -> str:
        """The URL."""
        return f"The CA asks http://{proof.name}/{_PLACE}/{proof.token} on port 80"


def _unusable(directory: Path, fault: OSError) -> AcmeFault:
    return AcmeFault(
        f"http-01: {directory} cannot be written: {fault.strerror}",
        "Mount the challenge volume writable for user 10001",
    )
