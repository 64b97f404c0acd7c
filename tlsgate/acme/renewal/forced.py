"""Renewals that a person asked for, whatever the certificate's age."""

from __future__ import annotations

from pathlib import Path

from tlsgate.acme.state.json_file import read_mapping
from tlsgate.files import write_json


class ForcedRenewals:
    """forced.json: `<volume>/<name>` → the generation that is to be replaced, whatever its age.

    The generation, so that nothing is renewed twice if the request is not deleted in time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, certificate: str) -> str | None:
        """The id of the generation."""
        found = read_mapping(self._path).get(certificate)
        return found if isinstance(found, str) else None

    def put(self, certificate: str, generation: str | None) -> None:
        """Saves the request; None deletes it."""
        wishes = read_mapping(self._path)
        if wishes.get(certificate) == generation:
            return
        wishes.pop(certificate, None)
        if generation is not None:
            wishes[certificate] = generation
        write_json(self._path, wishes)
