"""Imports partners from a Postfix TLS policy table (`smtp_tls_policy_maps`, postconf(5)) as text.

| entry                                   | record                              |
| --------------------------------------- | ----------------------------------- |
| `secure` without `match`                | `verify: pkix`                      |
| `secure match=` names                   | `verify: pkix` with these as `mx`   |
| `dane-only`                             | `verify: dane`                      |
| `fingerprint match=` SHA-256 digests    | `verify: pin`                       |
| `.domain`, the same as for `domain`     | `subdomains: true`                  |

Every other level guarantees less than a record does, and is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tlsgate.partners.importing import Row, Source
from tlsgate.partners.model import Verify
from tlsgate.problems import shown

_OWN = frozenset({"nexthop", "dot-nexthop"})
_SEPARATORS = re.compile(r"[\s,]+")
_NOT_NEEDED = frozenset({"exclude", "connection_reuse", "servername", "enable_rpk"})
_TOO_WEAK = {
    "none": "sends without TLS",
    "may": "sends in plaintext where TLS is not offered",
    "encrypt": "authenticates nobody",
    "verify": "trusts the server name that DNS gave",
    "dane": "falls back to opportunistic TLS where there is no DANE",
    "half-dane": "falls back to opportunistic TLS where there is no DANE",
}
_PIN_DIGITS = 64


@dataclass(frozen=True, slots=True)
class _Entry:
    line: int
    verify: Verify
    names: frozenset[str] = frozenset()
    """With pkix: names, `.names`, and the words `nexthop` and `dot-nexthop`."""
    keys: tuple[str, ...] = ()


def read_postfix(source: Source) -> Iterator[Row]:
    """Yield a row for each domain of the table; problems and notes are added to the source."""
    entries: dict[str, _Entry | None] = {}
    for line, key, value in _logical_lines(source.text):
        if key in entries:
            message = "appears twice in the table"
            source.problem(line, key, "doubled", message, "Delete one: Postfix uses only one")
        elif key.startswith("[") or ":" in key:
            message = "is a next hop, not a mail domain"
            remedy = "Write a record for the mail domains that are sent there"
            source.problem(line, key, "not-a-domain", message, remedy)
        else:
            entries[key] = _entry(source, line, key, value)
    for key, entry in entries.items():
        domain = key.removeprefix(".")
        if key.startswith("."):
            if domain not in entries:
                line = entry.line if entry else 0
                message = "has no entry for its domain: a record covers a domain and its subdomains"
                remedy = f"Write an entry for {domain} too, or the record by hand"
                source.problem(line, key, "below-only", message, remedy)
        elif entry is not None:
            row = _row(source, domain, entry, entries.get(f".{domain}"), f".{domain}" in entries)
            if row is not None:
                yield row


def _logical_lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, key and value: a line that starts with a space continues the last one."""
    started, parts = 0, ""
    for number, line in enumerate([*text.split("\n"), "end"], 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and parts:
            parts += f" {line.strip()}"
            continue
        if parts:
            key, _, value = parts.partition(" ")
            yield started, key.lower(), value.strip()
        started, parts = number, " ".join(line.split())


def _entry(source: Source, line: int, key: str, value: str) -> _Entry | None:
    """Return what an entry requires; None if no record can express it."""
    level, *attributes = [word for word in _SEPARATORS.split(value) if word] or [""]
    matches: list[str] = []
    fits = True
    for attribute in attributes:
        name, _, content = attribute.partition("=")
        if name == "match":
            matches += content.split("|" if level == "fingerprint" else ":")
        else:
            fits = _attribute(source, line, key, name, content) and fits
    match level:
        case "secure":
            entry = _secure(source, line, key, matches)
        case "dane-only":
            entry = _Entry(line, Verify.DANE)
        case "fingerprint":
            entry = _fingerprint(source, line, key, matches)
        case _:
            why = _TOO_WEAK.get(level, "is not a TLS policy level")
            message = f"the level {shown(level)} {why}"
            remedy = "Agree on a stronger level with the partner (secure, dane-only or fingerprint)"
            source.problem(line, key, "too-weak", message, remedy)
            entry = None
    return entry if fits else None


def _secure(source: Source, line: int, key: str, matches: list[str]) -> _Entry | None:
    names = {one.lower() for one in matches} or set(_OWN)
    if "hostname" in names:
        message = "`match=hostname` trusts the server name that DNS gave"
        remedy = "Write the names that the partner's certificates have"
        source.problem(line, key, "too-weak", message, remedy)
        return None
    if not key.startswith("."):
        words = {"nexthop": key, "dot-nexthop": f".{key}"}
        names = {words.get(one, one) for one in names}
    return _Entry(line, Verify.PKIX, frozenset(names))


def _fingerprint(source: Source, line: int, key: str, matches: list[str]) -> _Entry | None:
    keys = tuple(sorted({one.replace(":", "").lower() for one in matches}))
    if not keys or any(len(one) != _PIN_DIGITS for one in keys):
        message = "has a fingerprint that is not a SHA-256"
        remedy = "Write the SHA-256 of the server's public key (`smtp_tls_fingerprint_digest`)"
        source.problem(line, key, "not-sha256", message, remedy)
        return None
    message = "has fingerprints, which are taken as those of public keys"
    remedy = "Check that they are: the fingerprint of a certificate changes when it is renewed"
    source.note(line, key, "check-pin", message, remedy)
    return _Entry(line, Verify.PIN, keys=keys)


def _attribute(source: Source, line: int, key: str, name: str, content: str) -> bool:
    """Report an attribute that no record has; False if the entry cannot be imported without it."""
    if name == "protocols" and not _excludes_offered_versions(content):
        message = f"{shown(f'protocols={content}')} is not imported"
        source.note(line, key, "not-taken", message, "Nothing to do: the minimum is TLS 1.2")
        return True
    if name in _NOT_NEEDED:
        message = f"{shown(f'{name}={content}')} is not imported"
        remedy = "Check that mail is sent without it: the gateway has one setting for all partners"
        source.note(line, key, "not-taken", message, remedy)
        return True
    if name == "ciphers":
        message = f"{shown(f'{name}={content}')} is not imported"
        remedy = (
            "Check that mail is sent without it; if not, write `tls: compatible`, which is weaker"
        )
        source.note(line, key, "not-taken", message, remedy)
        return True
    message = f"{shown(f'{name}={content}')} cannot be expressed in a record"
    remedy = "Write the record by hand"
    if name == "tafile":
        remedy = "Write the record by hand, with `verify: private-ca`"
    source.problem(line, key, "not-said", message, remedy)
    return False


def _excludes_offered_versions(protocols: str) -> bool:
    """Return whether TLS 1.2 or 1.3, which the gateway offers, is excluded."""
    words = [word.lower() for word in re.split(r"[:\s]+", protocols) if word]
    least = [word.removeprefix(">=") for word in words if word.startswith(">=")]
    wanted = [word for word in words if word.startswith("tls")]
    return (
        any(word in ("!tlsv1.2", "!tlsv1.3") or word.startswith("<=") for word in words)
        or any(word not in ("tlsv1", "tlsv1.1", "tlsv1.2", "sslv3", "sslv2") for word in least)
        or bool(wanted and not {"tlsv1.2", "tlsv1.3"} <= set(wanted))
    )


def _row(
    source: Source, domain: str, entry: _Entry, below: _Entry | None, has_below: bool
) -> Row | None:
    """Return the record for a domain and its subdomains; None if one record cannot express both."""
    if has_below and below is None:
        return None  # the entry of the subdomains has a problem of its own
    mx = _mx(domain, entry.names, below.names if below else None)
    if mx is None or (below and (below.verify, below.keys) != (entry.verify, entry.keys)):
        message = f"has other requirements than .{domain}"
        remedy = "Write two records by hand, or make the two entries equal"
        source.problem(entry.line, domain, "two-rules", message, remedy)
        return None
    outbound: dict[str, object] = {"verify": entry.verify.value}
    if mx:
        outbound["mx"] = mx
    if entry.keys:
        outbound["public_keys"] = list(entry.keys)
    values = {"domains": [domain], "subdomains": below is not None, "outbound": outbound}
    return Row(entry.line, values)


def _mx(domain: str, names: frozenset[str], below: frozenset[str] | None) -> list[str] | None:
    """Return the record's `mx`, [] for the domain's own names; None if no `mx` can express both."""
    if names in (frozenset(), {domain, f".{domain}"}) and below in (None, frozenset(), _OWN):
        return []
    return sorted(names) if below in (None, names) else None
