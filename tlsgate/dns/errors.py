"""What can go wrong with a name server; each text says what and the remedy, and fits the user."""

from __future__ import annotations

from collections.abc import Sequence


class DnsError(Exception):
    """A look-up or an update failed."""


class UnreachableError(DnsError):
    """The server cannot be reached, or does not answer in time."""


class KeyRefusedError(DnsError):
    """The TSIG key cannot be read, is wrong, or may not write what it should."""


class ZoneError(DnsError):
    """A name is in no zone of the configuration, or the server does not serve the zone."""


class PrerequisiteError(DnsError):
    """The zone changed between being read and being updated; nothing of the update was made."""


class ConflictError(DnsError):
    """Record sets hold what someone else made; `conflicts` names each. Nothing was changed."""

    def __init__(self, conflicts: Sequence[str]) -> None:
        self.conflicts = tuple(conflicts)
        super().__init__(
            "\n".join(
                [
                    *self.conflicts,
                    "Nothing was changed. Remove what is there, or take the name out of the"
                    " configuration. What this stack made and someone changed by hand is taken"
                    " over by `pulumi refresh` and then `pulumi up`.",
                ]
            )
        )
