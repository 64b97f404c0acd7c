"""A small signed zone `example.` in which every case of the policy helper has a domain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.versioned
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec

DIGEST = "ab" * 32


@dataclass(frozen=True, slots=True)
class SignedZone:
    """The zone's master file, and its key as a trust anchor."""

    text: str
    anchor: str


def records(policy_host: str) -> str:
    """The zone before it is signed; `policy_host` is an IPv4 address."""
    lines = ["@ SOA ns.example. host.example. 1 3600 600 86400 5", "@ NS ns", "ns A 192.0.2.53"]
    lines += ["none MX 10 mx.none", "mx.none A 192.0.2.1"]
    for domain in ("sts", "mixed", "dane"):
        lines += [
            f"{domain} MX 10 mx.{domain}",
            f"{domain} MX 20 mx2.{domain}",
            f"mx.{domain} A 192.0.2.1",
            f"mx2.{domain} AAAA 2001:db8::1",
        ]
    for domain in ("sts", "mixed"):
        lines += [f'_mta-sts.{domain} TXT "v=STSv1; id=1;"', f"mta-sts.{domain} A {policy_host}"]
    lines += [f"_25._tcp.mx.{domain} TLSA 3 1 1 {DIGEST}" for domain in ("mixed", "dane")]
    lines += [f"_25._tcp.mx2.dane TLSA 2 0 1 {DIGEST}"]
    lines += ["bogus MX 10 mx.bogus", "mx.bogus A 192.0.2.1", "late MX 10 mx.none"]
    return "".join(f"{line}\n" for line in lines)


def sign(policy_host: str) -> SignedZone:
    """The zone, signed by a new key; `bogus` is changed after signing."""
    zone = dns.zone.from_text(
        "$TTL 300\n" + records(policy_host),
        "example.",
        relativize=False,
        zone_factory=dns.versioned.Zone,
    )
    key = ec.generate_private_key(ec.SECP256R1())
    dnskey = dns.dnssec.make_dnskey(
        key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257
    )
    now = datetime.now(UTC)
    dns.dnssec.sign_zone(
        zone,
        keys=[(key, dnskey)],
        inception=now - timedelta(hours=1),
        expiration=now + timedelta(days=1),
        dnskey_ttl=300,
    )
    text = zone.to_text(relativize=False, want_origin=True)
    forged = text.replace("10 mx.bogus.example.", "10 mx.evil.example.")
    if forged == text:
        raise AssertionError("the zone has no record to forge")
    return SignedZone(forged, f"example. IN DNSKEY {dnskey.to_text()}")
