"""The lab's zones in master-file form (RFC 1035, section 5), unsigned. Pure.

TTLs are a few seconds, so that changes by a test are soon visible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab import plan
from tlsgate.dns.records import Record, zone_lines
from tlsgate.render.mta_sts import PolicySettings, policy_id, policy_text, txt_value

TTL = 5
POLICY_MAX_AGE = 86400


def parent_zone(
    tlsa: Mapping[str, str], delegations: Mapping[str, tuple[str, ...]], peers: Iterable[plan.Peer]
) -> str:
    """The zone `example.`.

    `tlsa`: host → SHA-256 of an SPKI, in hex. `delegations`: zone → its DS records' data.
    """
    records = [
        _address(plan.NAME_SERVER, plan.DNS_ADDRESS),
        _address(plan.CA_HOST, plan.CA_ADDRESS),
        _address(plan.INTERNAL_HOST, plan.INTERNAL_ADDRESS),
        _address(plan.POLICY_SERVER, plan.POLICY_ADDRESS),
    ]
    records.append(Record(plan.SILENT, "MX", TTL, (f"10 {plan.POLICY_SERVER}.",)))
    records += [Record(n, "MX", TTL, ("0 .",)) for n in (plan.FORGED, plan.FORGED_FREE)]
    for zone, signers in delegations.items():
        records.append(Record(zone, "NS", TTL, (f"{plan.NAME_SERVER}.",)))
        records.append(Record(zone, "DS", TTL, signers))
    for peer in peers:
        records.append(_address(peer.host, peer.address))
        records += [Record(name, "MX", TTL, (f"10 {peer.host}.",)) for name in peer.domains]
        if peer.host in tlsa:
            values = (f"3 1 1 {tlsa[peer.host]}",)
            records.append(Record(f"_25._tcp.{peer.host}", "TLSA", TTL, values))
        for domain in peer.sts:
            records.append(_address(f"mta-sts.{domain}", plan.POLICY_ADDRESS))
            value = txt_value(policy_id(sts_policy(peer)))
            records.append(Record(f"_mta-sts.{domain}", "TXT", TTL, (value,)))
    return _head(plan.PARENT_ZONE) + zone_lines(sorted(records))


def organisation_zone(zone: str) -> str:
    """The initial content of a dynamic zone."""
    return _head(zone)


def sts_policy(peer: plan.Peer) -> str:
    """The MTA-STS policy of a peer's domains (RFC 8461, section 3.2)."""
    return policy_text(PolicySettings("enforce", POLICY_MAX_AGE, (peer.sts_mx,)))


def _address(name: str, address: str) -> Record:
    return Record(name, "A", TTL, (address,))


def _head(zone: str) -> str:
    return (
        f"$TTL {TTL}\n"
        f"{zone}. SOA {plan.NAME_SERVER}. hostmaster.{plan.PARENT_ZONE}. 1 3600 600 86400 {TTL}\n"
        f"{zone}. NS {plan.NAME_SERVER}.\n"
    )
