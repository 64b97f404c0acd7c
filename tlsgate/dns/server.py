"""One authoritative name server: look-ups without recursion, and RFC 2136 updates by TSIG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.update

from tlsgate.dns.errors import (
    ConflictError,
    DnsError,
    KeyRefusedError,
    PrerequisiteError,
    UnreachableError,
    ZoneError,
)
from tlsgate.dns.transport import exchange, shown
from tlsgate.dns.tsig import TsigKey

__all__ = [
    "ConflictError",
    "DnsError",
    "KeyRefusedError",
    "NameServer",
    "PrerequisiteError",
    "SetKey",
    "UnreachableError",
    "ZoneError",
]

SetKey = tuple[str, str]
"""A record set's name (lower case, no final dot) and type."""
Exchange = Callable[[str, int, Sequence[dns.message.Message], float], Sequence[dns.message.Message]]
SHOWN_SETS = 5

_PREREQUISITE = {
    dns.rcode.YXDOMAIN,
    dns.rcode.YXRRSET,
    dns.rcode.NXDOMAIN,
    dns.rcode.NXRRSET,
}
_UPDATE_REMEDIES = {
    dns.rcode.NOTZONE: "Check tlsgate:dns.zones: a name is not in the zone that it is sent to",
    dns.rcode.NOTIMP: "Name the primary server, and allow dynamic updates (RFC 2136) there",
    dns.rcode.SERVFAIL: "Look into the DNS server's log, and run this again",
}


@dataclass(frozen=True, slots=True)
class NameServer:
    """An authoritative server; `host` is a name or an address, `timeout` is in seconds."""

    host: str
    port: int = 53
    key: TsigKey | None = None
    timeout: float = 10.0
    exchange: Exchange = exchange

    def __str__(self) -> str:
        return shown(self.host, self.port)

    def read(self, keys: Sequence[SetKey]) -> list[dns.rdataset.Rdataset | None]:
        """Return what each set holds, None for an empty one.

        A name that is an alias is answered with its CNAME set, whatever type was asked for.
        Raises ZoneError where the server is not authoritative, and any other DnsError.
        """
        queries = []
        for number, (name, rtype) in enumerate(keys):
            query = dns.message.make_query(_absolute(name), rtype, id=number % 0x10000)
            query.flags &= ~dns.flags.RD
            queries.append(query)
        answers = self.exchange(self.host, self.port, queries, self.timeout)
        return [self._found(*pair) for pair in zip(keys, answers, strict=True)]

    def _found(self, key: SetKey, answer: dns.message.Message) -> dns.rdataset.Rdataset | None:
        name, rtype = key
        code = answer.rcode()
        if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ZoneError(
                f"{self}: answers {dns.rcode.to_text(code)} to a question for {name} {rtype}."
                " Name a server that serves the zone and lets this machine ask"
            )
        if not answer.flags & dns.flags.AA:
            raise ZoneError(
                f"{self}: is not authoritative for {name}. Name the zone's primary server, or"
                " take the name out if its zone is delegated to others"
            )
        owner = _absolute(name)
        for wanted in (dns.rdatatype.from_text(rtype), dns.rdatatype.CNAME):
            found = answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, wanted)
            if found is not None:
                return found.to_rdataset()
        return None

    def update(self, message: dns.update.UpdateMessage) -> None:
        """Make one update, as a whole or not at all (RFC 2136, section 3.4).

        Raises PrerequisiteError, KeyRefusedError, ZoneError or another DnsError.
        """
        code = self._send(message)
        zone = _text(message.zone[0].name)
        if code == dns.rcode.NOERROR:
            return
        if code in _PREREQUISITE:
            raise PrerequisiteError(
                f"{self}: zone {zone} was changed by someone else at the same moment"
                f" ({dns.rcode.to_text(code)}). Nothing of this update was made; run this again"
            )
        if code in (dns.rcode.REFUSED, dns.rcode.NOTAUTH):
            self.check(zone)
            sets = sorted({f"{_text(entry.name)} {_type(entry)}" for entry in message.update})
            more = f" and {len(sets) - SHOWN_SETS} more" if len(sets) > SHOWN_SETS else ""
            raise KeyRefusedError(
                f"{self}: the TSIG key {self._key_name()} may not write"
                f" {', '.join(sets[:SHOWN_SETS])}{more} ({dns.rcode.to_text(code)}). Allow it in"
                " the DNS server's update policy, or use another key"
            )
        raise self._failure(zone, code)

    def check(self, zone: str) -> None:
        """Make sure that the server serves `zone` and that the key may update it.

        Changes nothing: the update that is sent is empty. Raises DnsError.
        """
        if self.read([(zone, "SOA")]) == [None]:
            raise ZoneError(
                f"{self}: {zone} is not the top of a zone there. Name the zone itself in"
                " tlsgate:dns.zones"
            )
        code = self._send(dns.update.UpdateMessage(_absolute(zone)))
        if code in (dns.rcode.REFUSED, dns.rcode.NOTAUTH):
            raise KeyRefusedError(
                f"{self}: the TSIG key {self._key_name()} may not update zone {zone}"
                f" ({dns.rcode.to_text(code)}). Check the key's name, secret and algorithm on both"
                " sides, and allow it to update this zone"
            )
        if code != dns.rcode.NOERROR:
            raise self._failure(zone, code)

    def _send(self, message: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        if self.key is not None:
            message.use_tsig(self.key.key())
        (answer,) = self.exchange(self.host, self.port, [message], self.timeout)
        code = answer.rcode()
        if self.key is not None and not answer.had_tsig and code == dns.rcode.NOERROR:
            raise KeyRefusedError(
                f"{self}: did not sign its answer, so it may come from anyone. Look for a proxy"
                " between this machine and the DNS server"
            )
        return code

    def _failure(self, zone: str, code: dns.rcode.Rcode) -> DnsError:
        remedy = _UPDATE_REMEDIES.get(code, "Look into the DNS server's log")
        return DnsError(
            f"{self}: answers {dns.rcode.to_text(code)} to an update of zone {zone}. {remedy}"
        )

    def _key_name(self) -> str:
        return f'"{self.key.name}"' if self.key else "(none is set)"


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)


def _type(entry: dns.rdataset.Rdataset) -> str:
    return dns.rdatatype.to_text(entry.rdtype)
