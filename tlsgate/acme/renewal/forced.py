"""Renewals that a person asked for, whatever the certificate's age."""

from __future__ import annotations

from pathlib import Path

from tlsgate.state import StateMap


class ForcedRenewals(StateMap[str]):
    """forced.json: `<volume>/<name>` → the id of the generation that is to be replaced.

    The generation, so that nothing is renewed twice if the request is not deleted in time.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, str, loss="Ask again for renewals that were asked for by hand.")
