"""http-01 (RFC 8555, section 8.3): a file that the policy host serves on port 80."""

from __future__ import annotations

from pathlib import Path

from tlsgate.acme.challenges.responses import ChallengeResponse
from tlsgate.acme.faults import AcmeFault
from tlsgate.files import write

_PLACE = Path(".well-known/acme-challenge")


class Http01:
    """Token files below a folder."""

    type = "http-01"

    def __init__(self, directory: Path) -> None:
        self._directory = directory / _PLACE

    def place(self, response: ChallengeResponse) -> None:
        """Writes the file, readable to the web server's user."""
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            write(self._directory / response.token, response.authorization.encode(), mode=0o644)
        except OSError as fault:
            raise _unusable(self._directory, fault) from fault

    def wait(self, response: ChallengeResponse) -> None:
        """A file is there at once."""

    def remove(self, response: ChallengeResponse) -> None:
        """Deletes the file."""
        try:
            (self._directory / response.token).unlink(missing_ok=True)
        except OSError as fault:
            raise _unusable(self._directory, fault) from fault

    def where(self, response: ChallengeResponse) -> str:
        """The URL."""
        return f"The CA asks http://{response.name}/{_PLACE}/{response.token} on port 80"


def _unusable(directory: Path, fault: OSError) -> AcmeFault:
    return AcmeFault(
        f"http-01: {directory} cannot be written: {fault.strerror}",
        "Mount the challenge volume writable for user 10001",
    )
