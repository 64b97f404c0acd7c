"""A domain d.example with its DNS, its servers on this machine and the partner that it may be."""

from __future__ import annotations

import hashlib
from datetime import date

from tests.unit.probe.probe_pki import Issued, issue
from tlsgate.partners.model import Inbound, Mode, Outbound, Partner, Verify

CA = issue(("Test CA",), ca=True)
MX = issue(("mx.d.example",), CA)
DOMAIN = "d.example"
HOST, SECOND = "mx.d.example", "mx2.d.example"
ADDRESS, OTHER_ADDRESS = "127.0.0.1", "127.0.0.2"
NOBODY = "127.0.0.9"
"""No server is there."""

Entry = tuple[bool, list[str]] | None
Zone = dict[tuple[str, str], Entry]


def one_host(secure: bool = False, address: str = ADDRESS) -> Zone:
    return {
        (DOMAIN, "MX"): (secure, [f"10 {HOST}."]),
        (HOST, "A"): (secure, [address]),
    }


def two_hosts(second: str = OTHER_ADDRESS) -> Zone:
    return {
        (DOMAIN, "MX"): (False, [f"20 {SECOND}.", f"10 {HOST}."]),
        (HOST, "A"): (False, [ADDRESS]),
        (SECOND, "A"): (False, [second]),
    }


def tlsa(of: Issued, host: str = HOST, usage: int = 3, secure: bool = True) -> Zone:
    digest = hashlib.sha256(of.spki).hexdigest()
    return {(f"_25._tcp.{host}", "TLSA"): (secure, [f"{usage} 1 1 {digest}"])}


def partner(outbound: Outbound, subdomains: bool = False) -> Partner:
    return Partner(
        name="D",
        contact="postmaster@d.example",
        agreed=date(2026, 10, 1),
        review=date(2027, 10, 1),
        mode=Mode.ENFORCE,
        domains=(DOMAIN,),
        subdomains=subdomains,
        outbound=outbound,
        inbound=Inbound(),
    )


PKIX = partner(Outbound(), subdomains=True)
DANE = partner(Outbound(Verify.DANE))


def pinned(*pins: str) -> Partner:
    return partner(Outbound(Verify.PIN, public_keys=tuple(sorted(pins))))


def named(*names: str) -> Partner:
    return partner(Outbound(mx=tuple(sorted(names))))
