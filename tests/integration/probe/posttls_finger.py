"""Postfix's own verifier, run in the gateway's container: its result for a domain's first server.

posttls-finger(1) does not read policy tables, so it gets the level and the names of the gateway's
table as options.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import docker

from lab.endpoints import gateway_container

_ESTABLISHED = re.compile(r"(\w+) TLS connection established to .*: (TLSv[0-9.]+) with cipher")
_KEY = re.compile(r"(?:pkey|raw public key) fingerprint=([0-9A-F:]{95})")
_COMMON = ("posttls-finger", "-c", "-p", ">=TLSv1.2", "-g", "high")
_ROOTS = ("-P", "/etc/ssl/certs", "-F", "/run/tlsgate/active/extra-ca.pem")
_DNSSEC = ("-o", "smtp_dns_support_level=dnssec")


@dataclass(frozen=True, slots=True)
class Finger:
    """`word`: Untrusted < Trusted < Verified, empty without TLS. `key`: SHA-256 in hex."""

    word: str
    version: str
    key: str
    has_tlsa: bool


def secure(client: docker.DockerClient, domain: str, names: Sequence[str] = ()) -> Finger:
    """At level `secure`; `names`: those of `match=`, by default the level's own."""
    return _run(client, *_COMMON, *_ROOTS, "-l", "secure", domain, *names)


def dane(client: docker.DockerClient, domain: str) -> Finger:
    """At level `dane-only`, which falls back on `secure` where there is no TLSA record."""
    return _run(client, *_COMMON, *_ROOTS, *_DNSSEC, "-l", "dane-only", domain)


def _run(client: docker.DockerClient, *command: str) -> Finger:
    container = client.containers.get(gateway_container("gateway"))
    printed = container.exec_run(list(command)).output
    assert isinstance(printed, bytes)
    output = printed.decode(errors="replace")
    found, key = _ESTABLISHED.search(output), _KEY.search(output)
    return Finger(
        word=found[1] if found else "",
        version=found[2] if found else "",
        key=key[1].replace(":", "").lower() if key else "",
        has_tlsa="no TLSA records found" not in output,
    )
