"""Authoritative servers in memory: real messages and signatures (wire form), no sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.update

from tlsgate.dns.errors import UnreachableError
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer, SetKey
from tlsgate.dns.sets import key_of, to_rdataset, to_record
from tlsgate.dns.transport import parse
from tlsgate.dns.tsig import TsigKey

KEY = TsigKey("stack", "hmac-sha256", b"0123456789abcdef")
ZONES = ("corp.example", "brand.example")
HOST = "ns.test"


class FakeServer:
    """Answers queries and updates for its zones; hooks make it misbehave."""

    def __init__(self, records: Iterable[Record] = (), zones: Sequence[str] = ZONES) -> None:
        self.zones = zones
        self.sets: dict[SetKey, dns.rdataset.Rdataset] = {}
        self.updates: list[dns.message.Message] = []
        """Every update that was let in, empty ones and refused prerequisites included."""
        self.octets: list[int] = []
        """The size of each."""
        self.before_update: Callable[[dns.message.Message], dns.rcode.Rcode | None] = _let_in
        """Runs before an update is looked at; what it returns is the answer."""
        for zone in zones:
            self.put(Record(zone, "SOA", 300, (f"ns.{zone}. host.{zone}. 1 3600 600 86400 60",)))
        self.put(*records)

    def put(self, *records: Record) -> None:
        """Change the zone behind everyone's back."""
        for record in records:
            self.sets[key_of(record)] = to_rdataset(record)

    def holds(self, name: str, rtype: str) -> Record | None:
        """What the zone itself has, wildcards aside."""
        found = self.sets.get((name, rtype))
        return to_record(name, found) if found is not None else None

    def name_server(self, key: TsigKey | None = KEY) -> NameServer:
        return NameServer(HOST, 53, key, exchange=self.exchange)

    def exchange(
        self, host: str, port: int, queries: Sequence[dns.message.Message], timeout: float
    ) -> list[dns.message.Message]:
        """Stand in for tlsgate.dns.transport.exchange."""
        return [parse(self._answer(query.to_wire()), query, host) for query in queries]

    def _answer(self, wire: bytes) -> bytes:
        query = dns.message.from_wire(wire, keyring=KEY.key())
        response = dns.message.make_response(query)
        if isinstance(query, dns.update.UpdateMessage):
            self.octets.append(len(wire))
            response.set_rcode(self._update(query))
        else:
            self._look_up(query, response)
        return response.to_wire()

    def _look_up(self, query: dns.message.Message, response: dns.message.Message) -> None:
        (question,) = query.question
        name, rtype = question.name.to_text(True).lower(), dns.rdatatype.to_text(question.rdtype)
        if not any(f".{name}".endswith(f".{zone}") for zone in self.zones):
            response.set_rcode(dns.rcode.REFUSED)
            return
        response.flags |= dns.flags.AA
        for candidate in (name, f"*.{name.partition('.')[2]}"):
            for held in (rtype, "CNAME"):
                found = self.sets.get((candidate, held))
                if found is not None:
                    answer = dns.rrset.from_rdata_list(question.name, found.ttl, list(found))
                    response.answer.append(answer)
                    return
            if any(key[0] == candidate for key in self.sets):
                return

    def _update(self, query: dns.message.Message) -> dns.rcode.Rcode:
        code = self.before_update(query)
        if code is not None:
            return code
        self.updates.append(query)
        for needed in _grouped(query.sections[1]):
            code = self._unmet(needed)
            if code is not None:
                return code
        for entry in query.sections[2]:
            self._apply(entry)
        return dns.rcode.NOERROR

    def _unmet(self, needed: dns.rrset.RRset) -> dns.rcode.Rcode | None:
        held = self.sets.get(_key(needed))
        if needed.deleting == dns.rdataclass.NONE:
            return None if held is None else dns.rcode.YXRRSET
        if needed.deleting == dns.rdataclass.ANY:
            return None if held is not None else dns.rcode.NXRRSET
        return None if held is not None and set(held) == set(needed) else dns.rcode.NXRRSET

    def _apply(self, entry: dns.rrset.RRset) -> None:
        key = _key(entry)
        if entry.deleting == dns.rdataclass.ANY:
            self.sets.pop(key, None)
        elif entry.deleting == dns.rdataclass.NONE:
            left = [rdata for rdata in self.sets.get(key, ()) if rdata not in entry]
            self.sets.pop(key, None)
            if left:
                self.sets[key] = dns.rdataset.from_rdata_list(300, left)
        elif (key[0], "CNAME") not in self.sets:
            held = [*self.sets.get(key, ()), *entry]
            self.sets[key] = dns.rdataset.from_rdata_list(entry.ttl, held)


class FakeNet:
    """Several servers by their addresses; others are unreachable."""

    def __init__(self, **servers: FakeServer) -> None:
        self.servers = {name.replace("_", "."): server for name, server in servers.items()}

    def exchange(
        self, host: str, port: int, queries: Sequence[dns.message.Message], timeout: float
    ) -> list[dns.message.Message]:
        """Stand in for tlsgate.dns.transport.exchange."""
        if host not in self.servers:
            raise UnreachableError(f"{host}: no answer")
        return self.servers[host].exchange(host, port, queries, timeout)


def _let_in(query: dns.message.Message) -> None:
    del query


def _key(entry: dns.rrset.RRset) -> SetKey:
    return entry.name.to_text(True).lower(), dns.rdatatype.to_text(entry.rdtype)


def _grouped(section: Sequence[dns.rrset.RRset]) -> list[dns.rrset.RRset]:
    """A prerequisite by value comes as one entry a record (RFC 2136, section 2.4.2)."""
    groups: dict[tuple[SetKey, object], dns.rrset.RRset] = {}
    for entry in section:
        if entry.deleting is None and entry.ttl != 0:
            raise AssertionError(f"a prerequisite with a TTL: {entry}")
        found = groups.setdefault((_key(entry), entry.deleting), entry)
        if found is not entry:
            for rdata in entry:
                found.add(rdata)
    return list(groups.values())
