"""Reads the lab's name server, and changes its records like somebody else who has the key."""

from __future__ import annotations

import json
from collections.abc import Iterable

import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import dns.xfr
import dns.zone

from lab import files
from tlsgate.dns.tsig import read_tsig_key

SECONDS = 10.0
KEPT_BY_THE_SERVER = {"SOA", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY"}


def zone_lines(zone: str) -> frozenset[str]:
    """All published records of a zone, one line for each."""
    lines = set()
    for name, rdataset in _transfer(zone).iterate_rdatasets():
        kind = dns.rdatatype.to_text(rdataset.rdtype)
        if kind not in KEPT_BY_THE_SERVER:
            lines |= {f"{name} {rdataset.ttl} {kind} {rdata}" for rdata in rdataset}
    return frozenset(lines)


def serial(zone: str) -> int:
    """The zone's serial number, which increases with every change."""
    return _transfer(zone).get_soa().serial


def replace(zone: str, name: str, ttl: int, kind: str, data: str) -> None:
    """Change a record by hand; the name is relative to the zone."""
    message = _update(zone)
    message.replace(name, ttl, kind, data)
    _send(message)


def remove(zone: str, names: Iterable[str]) -> None:
    """Delete all records at these names, which are relative to the zone."""
    message = _update(zone)
    for name in names:
        message.delete(name)
    _send(message)


def _update(zone: str) -> dns.update.UpdateMessage:
    key = read_tsig_key(files.DNS / "pulumi.key").key()
    return dns.update.UpdateMessage(zone, keyring={key.name: key}, keyname=key.name)


def _send(message: dns.update.UpdateMessage) -> None:
    host, port = _server()
    answer = dns.query.tcp(message, host, SECONDS, port)
    assert answer.rcode() == dns.rcode.NOERROR, answer


def _server() -> tuple[str, int]:
    at = json.loads(files.ENDPOINTS.read_text())["dns"]
    return at["host"], at["port"]


def _transfer(zone: str) -> dns.zone.Zone:
    host, port = _server()
    key = read_tsig_key(files.DNS / "pulumi.key").key()
    made = dns.zone.Zone(zone, relativize=True)
    query, _ = dns.xfr.make_query(made, serial=None, keyring={key.name: key}, keyname=key.name)
    dns.query.inbound_xfr(host, made, query, port, lifetime=SECONDS)
    return made
