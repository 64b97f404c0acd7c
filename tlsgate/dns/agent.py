"""What the agent writes: ACME challenges (RFC 8555, section 8.4) and its TLSA sets (RFC 6698).

The agent owns its TLSA names as a whole, and swaps what it read. At `_acme-challenge` others may
order certificates as well: only the exact value is added and removed, never the set.
"""

from __future__ import annotations

from collections.abc import Sequence

import dns.name
import dns.rdataset
import dns.rdatatype
import dns.update

from tlsgate.dns.errors import DnsError
from tlsgate.dns.plan import Change, message
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer
from tlsgate.dns.sets import canonical, same, show, to_rdataset, to_record, zone_of
from tlsgate.dns.visible import wait_visible


class AgentZone:
    """Writes in the zones that `zones` names, on their primary server."""

    def __init__(self, server: NameServer, zones: Sequence[str]) -> None:
        self.server = server
        self.zones = tuple(zones)

    def read(self, name: str, rtype: str) -> tuple[str, ...]:
        """Return the set's values, sorted, as `Record` has them; TXT as raw text."""
        (found,) = self.server.read([(canonical(name), rtype)])
        if found is None:
            return ()
        if found.rdtype != dns.rdatatype.from_text(rtype):
            raise _alias(name, rtype, found)
        return to_record(name, found).values

    def add_text(self, name: str, value: str, ttl: int) -> None:
        """Add one TXT value to whatever is there; does nothing if it is there already."""
        if value in self.read(name, "TXT"):
            return
        request = dns.update.UpdateMessage(zone_of(name, self.zones))
        request.add(dns.name.from_text(name), to_rdataset(Record(name, "TXT", ttl, (value,))))
        self.server.update(request)

    def remove_text(self, name: str, value: str) -> None:
        """Remove exactly this TXT value; does nothing if it is not there."""
        request = dns.update.UpdateMessage(zone_of(name, self.zones))
        request.delete(dns.name.from_text(name), to_rdataset(Record(name, "TXT", 0, (value,))))
        self.server.update(request)

    def set_tlsa(self, name: str, values: Sequence[str], ttl: int) -> None:
        """Make a TLSA set hold `values` and nothing else; none removes the set.

        `values` are in presentation form (`3 1 1 <hex>`). Compares and swaps: raises
        PrerequisiteError if someone else changed the set at the same moment.
        """
        key = canonical(name), "TLSA"
        (before,) = self.server.read([key])
        if before is not None and before.rdtype != dns.rdatatype.TLSA:
            raise _alias(name, "TLSA", before)
        after = to_rdataset(Record(name, "TLSA", ttl, tuple(values))) if values else None
        if same(before, after) and (before is None or after is None or before.ttl == after.ttl):
            return
        self.server.update(message([Change(zone_of(name, self.zones), key, before, after)]))

    def wait_visible(self, name: str, rtype: str, value: str, timeout: float) -> None:
        """Wait until every authoritative server of the name's zone answers with `value`.

        `timeout` is in seconds. Raises DnsError that names each server that lags behind.
        """
        record = Record(canonical(name), rtype, 0, (value,))
        wait_visible(self.server, zone_of(name, self.zones), record, timeout)


def _alias(name: str, rtype: str, found: dns.rdataset.Rdataset) -> DnsError:
    return DnsError(
        f"{name} is an alias of {show(found)}, so no {rtype} record can be there. Remove the alias"
    )
