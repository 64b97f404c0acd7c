"""The answer to "will my mail be encrypted?", and what the partner list alone says to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tlsgate.certificates.names import described
from tlsgate.smtp.requirement import Level, Requirement, listed_policy, parse_policy


class Protection(StrEnum):
    """What keeps the mail from going out unprotected."""

    MANDATORY = "mandatory"
    EXCEPTION = "exception"
    """On the list, with an exception that has not ended."""
    DANE = "dane"
    MTA_STS = "mta-sts"
    OPPORTUNISTIC = "opportunistic"
    UNKNOWN = "unknown"
    """Not on the list, and DANE and MTA-STS could not be, or were not, looked up."""


_EXCEPTED = {
    Level.MAY: "encrypted if the server offers it, not assured",
    Level.ENCRYPT: "only over TLS, to a server that need not prove itself",
}
EXCEPTED = frozenset(_EXCEPTED)
"""The levels of an exception."""


class Outcome(StrEnum):
    """What the gateway would do with a message now."""

    SENT = "sent"
    HELD = "held"
    RETURNED = "returned"
    NOT_TRIED = "not-tried"


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for a domain.

    `requirement`: None while unknown. `reason`: of mail that is held or returned. `server` and
    `version`: where and under which TLS it would go, the version empty for plaintext.
    """

    domain: str
    protection: Protection
    outcome: Outcome
    requirement: Requirement | None = None
    reason: str = ""
    server: str = ""
    version: str = ""

    @property
    def assured(self) -> bool:
        """Whether mail to the domain never goes out but encrypted, to a server that proved itself.

        Under DANE and MTA-STS as the domain publishes them now; on the list whatever it publishes.
        """
        return self.protection in {Protection.MANDATORY, Protection.DANE, Protection.MTA_STS}

    @property
    def _excepted(self) -> bool:
        return self.protection is Protection.EXCEPTION

    @property
    def sentence(self) -> str:
        """For the person who sends."""
        demand = _demand(self.protection, self.requirement)
        match self.outcome:
            case Outcome.HELD:
                return f"Would be held: {self.reason}. {demand}"
            case Outcome.RETURNED:
                return f"Would come back: {self.reason}."
            case Outcome.SENT if not self.assured:
                word = "By an exception" if self._excepted else "Opportunistic"
                if not self.version:
                    return f"{word}: NOT encrypted today: the server offers no TLS."
                rest = "to a server that need not prove itself" if self._excepted else "not assured"
                return f"{word}: encrypted today ({self.version}), {rest}."
            case _:
                return demand

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; its shape is documented in tlsgate.commands.check."""
        requirement = self.requirement
        return {
            "domain": self.domain,
            "protection": self.protection.value,
            "assured": self.assured,
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "level": requirement.level.value if requirement else None,
            "match": list(requirement.match) if requirement else [],
            "reason": self.reason or None,
            "server": self.server or None,
            "tls": self.version or None,
        }


def predict_offline(domain: str, table: Mapping[str, str]) -> Prediction:
    """What the list alone says."""
    text = listed_policy(table, domain)
    if text is None:
        return Prediction(domain, Protection.UNKNOWN, Outcome.NOT_TRIED)
    requirement = parse_policy(text, domain)
    excepted = requirement.level in EXCEPTED
    protection = Protection.EXCEPTION if excepted else Protection.MANDATORY
    return Prediction(domain, protection, Outcome.NOT_TRIED, requirement)


def _demand(protection: Protection, requirement: Requirement | None) -> str:
    match protection:
        case Protection.MANDATORY if requirement:
            return f"Mandatory: only over TLS to {_proof(requirement)}."
        case Protection.EXCEPTION if requirement:
            return f"By an exception: {_EXCEPTED[requirement.level]}."
        case Protection.DANE:
            return "DANE: only over TLS to a key that the domain's signed DNS names."
        case Protection.MTA_STS if requirement:
            return f"MTA-STS: only over TLS to {_proof(requirement)}, as the domain asks."
        case Protection.OPPORTUNISTIC:
            return "Opportunistic: encrypted if the server offers it, not assured."
        case _:
            return "Not on the partner list; what the domain itself asks for is not known."


def _proof(requirement: Requirement) -> str:
    match requirement.level:
        case Level.SECURE:
            issuer = " from the partner's own CA" if requirement.anchors else ""
            return f"a certificate{issuer} of {described(requirement.match)}"
        case Level.FINGERPRINT:
            keys: Sequence[str] = requirement.match
            return "the pinned key" if len(keys) == 1 else f"one of the {len(keys)} pinned keys"
        case _:
            return "a key that the domain's signed DNS names (DANE)"
