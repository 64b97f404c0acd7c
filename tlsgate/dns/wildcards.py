"""Reads record sets as they are in the zone, without what a wildcard answers in their place.

`*.corp.example A` answers for `mta-sts.corp.example` though no such set is there (RFC 4592).
Taken for a real set it would be a conflict that nobody can remove. A prerequisite ignores
wildcards (RFC 2136, section 2.4), so an update without changes shows which it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import dns.name
import dns.rdataset
import dns.rdatatype
import dns.update

from tlsgate.dns.errors import PrerequisiteError
from tlsgate.dns.server import NameServer, SetKey
from tlsgate.dns.sets import same


def survey(
    server: NameServer, zones: Mapping[SetKey, str]
) -> dict[SetKey, dns.rdataset.Rdataset | None]:
    """Return what each set of `zones` (set → its zone) really holds; None if it is absent."""
    keys = list(zones)
    found = dict(zip(keys, server.read(keys), strict=True))
    if server.key is None:
        return found
    sources = {
        (key, wildcard)
        for key, held in found.items()
        if held is not None
        for wildcard in _wildcards(key, zones[key])
    }
    asked = sorted({wildcard for _, wildcard in sources})
    answers = dict(zip(asked, server.read(asked), strict=True))
    for key, wildcard in sources:
        held = found[key]
        if held is None or not same(held, answers[wildcard]):
            continue
        if not _stands(server, zones[key], key[0], held.rdtype):
            found[key] = None
    return found


def _wildcards(key: SetKey, zone: str) -> list[SetKey]:
    """Return the wildcards that could answer for a set."""
    name, apex = dns.name.from_text(key[0]), dns.name.from_text(zone)
    names = []
    while name != apex:
        name = name.parent()
        names.append(f"*.{name.to_text(omit_final_dot=True)}")
    return [(wildcard, key[1]) for wildcard in names if wildcard != key[0]]


def _stands(server: NameServer, zone: str, name: str, rtype: dns.rdatatype.RdataType) -> bool:
    """Ask by a prerequisite whether the set itself is there."""
    question = dns.update.UpdateMessage(zone)
    question.present(dns.name.from_text(name), rtype)
    try:
        server.update(question)
    except PrerequisiteError:
        return False
    return True
