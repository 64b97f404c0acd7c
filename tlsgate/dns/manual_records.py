"""Looks up record sets that a person publishes by hand, as mail servers elsewhere see them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import dns.exception
import dns.rdataset
import dns.resolver

from tlsgate.dns.errors import UnreachableError
from tlsgate.dns.records import Record
from tlsgate.dns.server import NameServer, SetKey
from tlsgate.dns.sets import by_key, to_record

AT_ONCE = 8
LIFETIME = 10.0
"""Seconds for one look-up, with all repetitions."""


def look_up(records: Sequence[Record], server: NameServer | None) -> tuple[Record, ...]:
    """Return what the sets of `records` hold now, sorted; absent sets are left out.

    Asks `server`, which must be authoritative, or this machine's resolver, whose TTLs count down.
    Raises DnsError.
    """
    keys = list(by_key(records))
    found = server.read(keys) if server else _resolve(keys)
    return tuple(
        sorted(
            to_record(name, held)
            for (name, _), held in zip(keys, found, strict=True)
            if held is not None
        )
    )


def _resolve(keys: Sequence[SetKey]) -> list[dns.rdataset.Rdataset | None]:
    try:
        resolver = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError) as error:
        raise UnreachableError(
            f"this machine has no DNS resolver ({error}). Set one up, or set tlsgate:dns.server"
        ) from None
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda key: _one(resolver, key), keys))


def _one(resolver: dns.resolver.Resolver, key: SetKey) -> dns.rdataset.Rdataset | None:
    name, rtype = key
    try:
        answer = resolver.resolve(
            f"{name}.", rtype, raise_on_no_answer=False, lifetime=LIFETIME, search=False
        )
    except dns.resolver.NXDOMAIN:
        return None
    except dns.exception.DNSException as error:
        raise UnreachableError(
            f"the look-up of {name} {rtype} failed ({error}). Check this machine's resolver, or"
            " set tlsgate:dns.server"
        ) from None
    return answer.rrset.to_rdataset() if answer.rrset is not None else None
