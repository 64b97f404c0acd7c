"""unbound.conf of the validating resolver that DANE depends on (RFC 7672, section 2.1.1; RFC 4033).

One file, so that it reaches the container as one upload. unbound runs as an ordinary user on a
read-only root file system and logs to standard error.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from tlsgate.dns.records import require_hostname

ROOT_ANCHORS = "/usr/share/dns/root.key"
"""Debian's dns-root-data. Read, never updated in place: a new image brings a new root key."""


@dataclass(frozen=True, slots=True)
class ResolverSettings:
    """The settings that differ between resolvers.

    `stub_zones`: zone → addresses of its servers (`192.0.2.1`, or `192.0.2.1@5353`).
    `trust_anchors`: DS or DNSKEY records in master-file form, one a line, `;` comments allowed;
    a root anchor among them replaces the public one. `allow`: networks that may ask, as CIDR.
    """

    stub_zones: Mapping[str, tuple[str, ...]]
    trust_anchors: str
    allow: tuple[str, ...]


def render_unbound(settings: ResolverSettings) -> str:
    """The whole configuration. Raises ValueError on a zone, address or anchor that is not one."""
    anchors = _anchors(settings.trust_anchors)
    lines = [f"    access-control: {_network(cidr)} allow" for cidr in settings.allow]
    if not any(anchor.split()[0] == "." for anchor in anchors):
        lines.append(f'    trust-anchor-file: "{ROOT_ANCHORS}"')
    lines += [f'    trust-anchor: "{anchor}"' for anchor in anchors]
    # A stub under one of unbound's built-in empty zones (test., private reverse zones) would
    # otherwise never be asked.
    lines += [f'    local-zone: "{_zone(zone)}" transparent' for zone in settings.stub_zones]
    stubs = [
        "\n".join(
            (
                "stub-zone:",
                f'    name: "{_zone(zone)}"',
                *(f"    stub-addr: {_server(address)}" for address in addresses),
                "    stub-no-cache: no",
            )
        )
        for zone, addresses in settings.stub_zones.items()
    ]
    return "\n".join((_BASE + "\n".join(lines), "", *stubs, ""))


def _anchors(text: str) -> list[str]:
    anchors = []
    for line in text.splitlines():
        anchor = " ".join(line.split(";", 1)[0].split())
        if not anchor:
            continue
        fields = anchor.split()
        if '"' in anchor or not {"DS", "DNSKEY"} & {field.upper() for field in fields[1:4]}:
            raise ValueError(
                f"trust anchor {anchor!r}: write a DS or DNSKEY record, one a line, such as"
                " 'example. IN DS 12345 13 2 <digest>'"
            )
        _zone(fields[0])
        anchors.append(anchor)
    return anchors


def _zone(name: str) -> str:
    bare = name.rstrip(".").lower()
    return f"{require_hostname(bare)}." if bare else "."


def _network(cidr: str) -> str:
    return str(ipaddress.ip_network(cidr))


def _server(address: str) -> str:
    host, at, port = address.partition("@")
    if at and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"stub server {address!r}: write address or address@port")
    return f"{ipaddress.ip_address(host)}{at}{port}"


_BASE = """\
# Made by tlsgate; changed by the next `pulumi up`, not by hand.
server:
    # An ordinary user in a container: no privileges to drop, no files to write.
    username: ""
    chroot: ""
    directory: "/etc/unbound"
    pidfile: ""
    use-syslog: no
    logfile: ""
    log-time-ascii: yes
    log-servfail: yes
    val-log-level: 2
    verbosity: 1

    interface: 0.0.0.0
    interface-automatic: yes
    port: 53
    # A mail server has few queries: small caches, but popular names are always cached.
    num-threads: 1
    msg-cache-size: 8m
    rrset-cache-size: 16m
    key-cache-size: 4m
    neg-cache-size: 1m
    so-sndbuf: 0
    edns-buffer-size: 1232
    prefetch: yes
    prefetch-key: yes
    # New records of a partner, and a zone that was fixed, are found soon.
    cache-max-ttl: 3600
    cache-max-negative-ttl: 60
    val-bogus-ttl: 30
    infra-host-ttl: 60
    infra-keep-probing: yes
    # No expired data: if there is no answer, the mail waits.
    serve-expired: no

    module-config: "validator iterator"
    val-permissive-mode: no
    root-hints: "/usr/share/dns/root.hints"
    qname-minimisation: yes
    aggressive-nsec: yes
    minimal-responses: yes
    deny-any: yes
    harden-glue: yes
    harden-dnssec-stripped: yes
    harden-below-nxdomain: yes
    harden-large-queries: yes
    harden-short-bufsize: yes
    unwanted-reply-threshold: 1000000
    hide-identity: yes
    hide-version: yes

    access-control: 0.0.0.0/0 refuse
    access-control: ::0/0 refuse
    access-control: 127.0.0.0/8 allow
"""
