"""dns-01 (RFC 8555, section 8.4): a TXT record below `_acme-challenge`, written by RFC 2136."""

from __future__ import annotations

from tlsgate.acme.challenges.responses import ChallengeResponse
from tlsgate.acme.dns_zone import VISIBLE_SECONDS, Zone, explaining_dns_errors
from tlsgate.dns.errors import DnsError


class Dns01:
    """TXT records through the agent's own TSIG key."""

    type = "dns-01"

    def __init__(self, zone: Zone, ttl: int) -> None:
        self._zone = zone
        self._ttl = ttl

    def place(self, response: ChallengeResponse) -> None:
        """Adds the value: another client may have values there too."""
        with explaining_dns_errors(f"publishing TXT {_owner(response)}"):
            self._zone.add_text(_owner(response), response.text, self._ttl)

    def wait(self, response: ChallengeResponse) -> None:
        """Waits until the authoritative servers answer with it."""
        with explaining_dns_errors(f"waiting for TXT {_owner(response)}"):
            self._zone.wait_visible(_owner(response), "TXT", response.text, VISIBLE_SECONDS)

    def remove(self, response: ChallengeResponse) -> None:
        """Removes the value."""
        with explaining_dns_errors(f"removing TXT {_owner(response)}"):
            self._zone.remove_text(_owner(response), response.text)

    def where(self, response: ChallengeResponse) -> str:
        """The record, and what the authoritative server holds."""
        looks = f'The CA looks for TXT {_owner(response)} "{response.text}"'
        try:
            found = self._zone.read(_owner(response), "TXT")
        except DnsError as fault:
            return f"{looks}; the authoritative server cannot be asked: {fault}"
        return f"{looks}; the authoritative server has {', '.join(found) or 'no such record'}"


def _owner(response: ChallengeResponse) -> str:
    return f"_acme-challenge.{response.name}"
