"""Waits until all authoritative servers of a zone answer with a new value.

The zone's NS set is read at the primary. A name server whose name cannot be resolved is left out;
if none can, the primary alone counts.
"""

from __future__ import annotations

import socket
import time
from dataclasses import replace

from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from tlsgate.dns.errors import DnsError, UnreachableError
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer
from tlsgate.dns.sets import canonical, show, to_rdataset

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
ANSWER_SECONDS = 5.0
DNS_PORT = 53


def wait_visible(server: NameServer, zone: str, record: Record, timeout: float) -> None:
    """Wait until the set has the record's one value everywhere; `timeout` is in seconds."""
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    waiting = [[server], *authorities(server, zone)]
    while True:
        lagging = [(servers, why) for servers in waiting if (why := _lag(servers, record))]
        if not lagging:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            reasons = "; ".join(why for _, why in lagging)
            raise DnsError(
                f"{record.name} {record.type} {record.values[0]} is not to be seen on every name"
                f" server of {zone} within {timeout:g} s: {reasons}. Check how these servers get"
                " the zone"
            )
        waiting = [servers for servers, _ in lagging]
        time.sleep(min(pause, left))
        pause = min(pause * 2, LONGEST_PAUSE)


def authorities(server: NameServer, zone: str) -> list[list[NameServer]]:
    """Return the zone's name servers, each as its addresses, those that resolve."""
    (found,) = server.read([(canonical(zone), "NS")])
    names = [rdata.to_text().rstrip(".") for rdata in found or ()]
    groups = []
    for name in names:
        addresses = _addresses(server, name)
        groups.append(
            [
                replace(server, host=address, port=DNS_PORT, key=None, timeout=ANSWER_SECONDS)
                for address in addresses
                if (address, DNS_PORT) != (server.host, server.port)
            ]
        )
    return [group for group in groups if group]


def _addresses(server: NameServer, name: str) -> list[str]:
    """Ask the primary, which may know a name that this machine's resolver does not."""
    try:
        found = server.read([(name, "A"), (name, "AAAA")])
    except DnsError:
        found = []
    held = [
        rdata.address for answer in found for rdata in answer or () if isinstance(rdata, A | AAAA)
    ]
    return held or sorted(_resolved(name))


def _resolved(name: str) -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(name, DNS_PORT)}
    except OSError:
        return set()


def _lag(servers: list[NameServer], record: Record) -> str:
    """Return why one name server does not count as up to date; empty if it does.

    Of its addresses one must have the value, and none may answer without it: an address of a
    family that this machine has no way to is no reason to wait.
    """
    (value,) = to_rdataset(record)
    seen, unreached = False, ""
    for server in servers:
        try:
            (found,) = server.read([(record.name, record.type)])
        except UnreachableError:
            unreached = f"{server} cannot be reached"
            continue
        except DnsError as error:
            return str(error)
        if found is None or value not in found:
            return f"{server} holds {show(found)}"
        seen = True
    return "" if seen else unreached
