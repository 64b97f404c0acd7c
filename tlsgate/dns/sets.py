"""Record sets between their three forms: `Record`, dnspython's rdataset, and master-file lines.

Sets are compared by meaning: order, TTL and the split of a text into strings do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from tlsgate.dns.errors import DnsError, ZoneError
from tlsgate.dns.records import Record
from tlsgate.dns.server import SetKey

_STRING_LIMIT = 255


def canonical(name: str) -> str:
    """Return a name in lower case and without its final dot."""
    return name.lower().rstrip(".")


def key_of(record: Record) -> SetKey:
    """Return the set that a record names."""
    return canonical(record.name), record.type.upper()


def by_key(records: Iterable[Record]) -> dict[SetKey, Record]:
    """Index records; raises DnsError where one set is named twice."""
    found: dict[SetKey, Record] = {}
    for record in records:
        if found.setdefault(key_of(record), record) != record:
            name, rtype = key_of(record)
            raise DnsError(f"{name} {rtype} is wanted twice. Put all its values into one record")
    return found


def to_rdataset(record: Record) -> dns.rdataset.Rdataset:
    """Return dnspython's form; raises DnsError on a value that is invalid for its type."""
    try:
        rtype = dns.rdatatype.from_text(record.type)
        parsed = [_rdata(rtype, value) for value in record.values]
        return dns.rdataset.from_rdata_list(record.ttl, parsed)
    except (dns.exception.DNSException, ValueError) as error:
        raise DnsError(
            f"{record.name} {record.type}: {', '.join(record.values) or 'no value'} cannot be read"
            f" ({error}). Write it as a zone file has it"
        ) from None


def _rdata(rtype: dns.rdatatype.RdataType, value: str) -> dns.rdata.Rdata:
    if rtype != dns.rdatatype.TXT:
        return dns.rdata.from_text(dns.rdataclass.IN, rtype, value, dns.name.root, False)
    # A TXT record is its octets; quoting and parsing them would only cost time.
    octets = value.encode("utf-8", "surrogateescape")
    starts = range(0, len(octets), _STRING_LIMIT) or (0,)
    strings = [octets[start : start + _STRING_LIMIT] for start in starts]
    return TXT(dns.rdataclass.IN, rtype, strings)


def to_record(name: str, found: dns.rdataset.Rdataset) -> Record:
    """Return a set as a Record; its values are sorted."""
    values = sorted(_value(rdata) for rdata in found)
    return Record(canonical(name), dns.rdatatype.to_text(found.rdtype), found.ttl, tuple(values))


def _value(rdata: dns.rdata.Rdata) -> str:
    if isinstance(rdata, TXT):
        return b"".join(rdata.strings).decode("utf-8", "surrogateescape")
    return rdata.to_text()


def same(one: dns.rdataset.Rdataset | None, other: dns.rdataset.Rdataset | None) -> bool:
    """Tell whether two sets mean the same."""
    if one is None or other is None:
        return one is other
    return one.rdtype == other.rdtype and _meaning(one) == _meaning(other)


def _meaning(found: dns.rdataset.Rdataset) -> set[object]:
    return {b"".join(rdata.strings) if isinstance(rdata, TXT) else rdata for rdata in found}


def to_lines(records: Iterable[Record]) -> list[str]:
    """Return master-file lines (RFC 1035, section 5), sorted, every value as dnspython writes it.

    Two sequences that mean the same give the same lines.
    """
    return sorted(
        f"{canonical(record.name)}. {record.ttl} IN {record.type.upper()} {rdata.to_text()}"
        for record in records
        for rdata in to_rdataset(record)
    )


def from_lines(lines: Iterable[str]) -> tuple[Record, ...]:
    """Return the records of lines that `to_lines` wrote, sorted."""
    found: dict[SetKey, dns.rdataset.Rdataset] = {}
    for line in lines:
        name, ttl, _, rtype, text = line.split(" ", 4)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, rtype, text, dns.name.root, False)
        key = canonical(name), rtype
        found.setdefault(key, dns.rdataset.Rdataset(rdata.rdclass, rdata.rdtype)).add(
            rdata, int(ttl)
        )
    return tuple(sorted(to_record(name, rdataset) for (name, _), rdataset in found.items()))


def show(found: dns.rdataset.Rdataset | None) -> str:
    """Return what a set holds, for a sentence."""
    if found is None:
        return "nothing"
    return ", ".join(sorted(rdata.to_text() for rdata in found))


def zone_of(name: str, zones: Sequence[str]) -> str:
    """Return the zone that a name is in: the longest match. Raises ZoneError if there is none."""
    wanted = dns.name.from_text(name)
    matches = [zone for zone in zones if wanted.is_subdomain(dns.name.from_text(zone))]
    if not matches:
        raise ZoneError(
            f"{name} is in none of the zones {', '.join(zones) or '(none)'}. Add its zone to"
            " tlsgate:dns.zones"
        )
    return canonical(max(matches, key=lambda zone: len(dns.name.from_text(zone))))
