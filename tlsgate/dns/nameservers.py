"""Which resolver is asked, and whether its DNSSEC validation is trusted.

The AD bit of an answer means something only from a validating resolver that is trusted, over a
path that is trusted (RFC 4035, section 4.9.3). One that is named on the command line is; of those
in resolv.conf, one on this machine, or where the file says `options trust-ad` (resolv.conf(5)).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlsgate.dns.lookups import Answer, DnsLookups, Lookups

RESOLV_CONF = Path("/etc/resolv.conf")
DNS_PORT = 53

_NAMED = re.compile(r"\[(?P<six>[^]]+)\](?::(?P<port6>\d+))?|(?P<four>[0-9.]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class Resolver:
    """Addresses of nameservers, their port, and whether they validate and are trusted."""

    addresses: tuple[str, ...]
    port: int = DNS_PORT
    trusted: bool = True


class _Unvalidated:
    """Look-ups whose AD bit is ignored."""

    def __init__(self, lookups: DnsLookups) -> None:
        self._lookups = lookups

    async def ask(self, name: str, rdtype: str) -> Answer:
        return replace(await self._lookups.ask(name, rdtype), secure=False)


def lookups_of(resolver: Resolver) -> DnsLookups:
    """Look-ups at this resolver; nothing is secure if it is not trusted."""
    lookups = Lookups(list(resolver.addresses), resolver.port)
    return lookups if resolver.trusted else _Unvalidated(lookups)


def named_resolver(text: str) -> Resolver:
    """`ADDRESS`, `ADDRESS:port` or `[IPv6]:port`. Raises ValueError."""
    try:
        return Resolver((str(ipaddress.ip_address(text)),))
    except ValueError:
        match = _NAMED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not ADDRESS, ADDRESS:port or [IPv6]:port")
    address = ipaddress.ip_address(match["six"] or match["four"])
    port = int(match["port6"] or match["port"] or DNS_PORT)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is not a port")
    return Resolver((str(address),), port)


def configured_resolver(text: str) -> Resolver:
    """From the text of resolv.conf; this machine if it names none, as resolv.conf(5) says."""
    words = [line.split() for line in text.splitlines()]
    addresses = tuple(_addresses(words)) or ("127.0.0.1",)
    options = {option for line in words if line[:1] == ["options"] for option in line[1:]}
    local = all(ipaddress.ip_address(address).is_loopback for address in addresses)
    return Resolver(addresses, trusted=local or "trust-ad" in options)


def _addresses(lines: Sequence[Sequence[str]]) -> list[str]:
    found = []
    for line in lines:
        if len(line) > 1 and line[0] == "nameserver":
            try:
                found.append(str(ipaddress.ip_address(line[1].partition("%")[0])))
            except ValueError:
                continue
    return found
