"""Configuration of the authoritative server, Knot DNS (knot.conf(5)), and its keys' text. Pure.

One key signs a zone (CSK, ECDSA P-256, RFC 6605). It is created before the first start of the
server. So the trust anchors are known by then, and a replaced container keeps them.

Two TSIG keys (RFC 8945) may update the organisation's zones: `pulumi` everything, `agent` only
TXT at `_acme-challenge.<host>` and TLSA at `_<port>._tcp.<host>` (D14), for hosts of one or two
labels in the zone.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Mapping

import dns.dnssec
import dns.dnssectypes
import dns.name
from dns.rdtypes.ANY.DNSKEY import DNSKEY

from lab import plan
from lab.pki import Key

TSIG_ALGORITHM = "hmac-sha256"
PULUMI_KEY = "pulumi"
AGENT_KEY = "agent"
ZONE_SIGNING_FLAGS = 257
"""DNSKEY flags: zone key and secure entry point, one key for both."""


def new_tsig_secret() -> str:
    """A new secret of 256 bits, in base64."""
    return b64encode(secrets.token_bytes(32)).decode()


def tsig_file(name: str, secret: str) -> str:
    """A key in BIND's form (named.conf(5)), as nsupdate reads it."""
    return f'key "{name}" {{\n    algorithm {TSIG_ALGORITHM};\n    secret "{secret}";\n}};\n'


def dnskey(key: Key) -> DNSKEY:
    """The DNSKEY record's data of a zone's key."""
    public = key.public_key()
    return dns.dnssec.make_dnskey(
        public, dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=ZONE_SIGNING_FLAGS
    )


def delegation(zone: str, key: Key) -> str:
    """The DS record's data for the parent zone (RFC 4509: SHA-256)."""
    return dns.dnssec.make_ds(dns.name.from_text(zone), dnskey(key), "SHA256").to_text()


def trust_anchors(keys: Mapping[str, Key]) -> str:
    """The zones' DNSKEY records, one on each line."""
    return "".join(f"{zone}. IN DNSKEY {dnskey(key).to_text()}\n" for zone, key in keys.items())


def knot_conf(secrets_: Mapping[str, str]) -> str:
    """knot.conf, secrets included; `secrets_`: name of a TSIG key → its secret."""
    keys = "".join(
        f"  - id: {name}\n    algorithm: {TSIG_ALGORITHM}\n    secret: {secret}\n"
        for name, secret in secrets_.items()
    )
    dynamic = "".join(
        f"  - domain: {zone}\n    template: dynamic\n" for zone in plan.ORGANISATION_ZONES
    )
    return f"{_SERVER}\nkey:\n{keys}\n{_RULES}{dynamic}"


_SERVER = """\
server:
    user: knot:knot
    rundir: /run/knot
    listen: 0.0.0.0@53
    automatic-acl: off

log:
  - target: stdout
    any: info

database:
    storage: /var/lib/knot
    # Created again from the imported keys at each start.
    kasp-db: /run/knot/keys
"""

_RULES = """\
acl:
  - id: pulumi
    key: pulumi
    action: [update, transfer]
  - id: agent-challenge
    key: agent
    action: update
    update-type: TXT
    update-owner: name
    update-owner-match: pattern
    update-owner-name: [_acme-challenge.*, _acme-challenge.*.*]
  - id: agent-tlsa
    key: agent
    action: update
    update-type: TLSA
    update-owner: name
    update-owner-match: pattern
    update-owner-name: ["*._tcp.*", "*._tcp.*.*"]

policy:
  - id: lab
    manual: on
    single-type-signing: on
    algorithm: ecdsap256sha256
    cds-cdnskey-publish: none

template:
  - id: default
    dnssec-signing: on
    dnssec-policy: lab
    serial-policy: unixtime
  # The zone file is read at each start and never written.
  - id: static
    dnssec-signing: on
    dnssec-policy: lab
    serial-policy: unixtime
    storage: /config/zones
    file: "%s.zone"
    journal-content: none
    zonefile-sync: -1
  # Updates are written to the volume at once, so they survive the container.
  - id: dynamic
    dnssec-signing: on
    dnssec-policy: lab
    serial-policy: unixtime
    storage: /var/lib/knot/zones
    file: "%s.zone"
    zonefile-sync: 0
    acl: [pulumi, agent-challenge, agent-tlsa]

zone:
  - domain: example
    template: static
"""
