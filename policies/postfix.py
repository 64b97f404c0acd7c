"""Rules on Postfix's configuration (postconf(5), master(5)), whatever rendered it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from policies.rule import DELIVERY, CheckedResource, Rule

MAIN = "main.cf"
MASTER = "master.cf"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_VERSIONS = ("SSLV2", "SSLV3", "TLSV1", "TLSV1.1", "TLSV1.2", "TLSV1.3")
_LEAST = _VERSIONS.index("TLSV1.2")
_PROTOCOLS = (
    "smtp_tls_mandatory_protocols",
    "smtpd_tls_mandatory_protocols",
    "smtpd_tls_protocols",
)
"""The settings for partners; `smtp_tls_protocols` is for domains without a policy (RFC 7435)."""
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1")
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter: its file or service, and its value on one line."""

    place: str
    name: str
    value: str


def settings(files: Mapping[str, str]) -> list[Setting]:
    """Return every parameter of main.cf, and those that services of master.cf override."""
    found = [
        Setting(MAIN, name.strip(), " ".join(value.split()))
        for name, mark, value in (line.partition("=") for line in _logical(files.get(MAIN, "")))
        if mark
    ]
    for line in _logical(files.get(MASTER, "")):
        service = " ".join(line.split()[:2])
        for name, value in re.findall(r"\s-o\s+([a-z0-9_]+)=(\S*)", line):
            found.append(Setting(f"{MASTER}, service {service}", name, value))
    return found


def _logical(text: str) -> list[str]:
    """Return the logical lines: continuations joined, comments removed."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and lines:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return lines


def tls_version(resource: CheckedResource) -> Iterator[str]:
    """Report TLS versions below 1.2, to and from partners and at the policy host."""
    if MAIN in resource.files:
        found = settings(resource.files)
        for name in _PROTOCOLS:
            if not any(one.place == MAIN and one.name == name for one in found):
                yield f"{MAIN} does not set {name}. Write {name} = >=TLSv1.2"
        for one in found:
            if one.name in _PROTOCOLS and not _is_new(one.value):
                value = one.value or "(empty)"
                yield f"{one.place}: {one.name} = {value} allows versions below TLS 1.2"
        for key, value in _protocols_of_partners(resource.files.get("partner_policy", "")):
            if not _is_new(value):
                yield f"partner_policy: {key} has protocols={value}, below TLS 1.2"
    for name, text in sorted(resource.files.items()):
        for versions in re.findall(r"^\s*ssl_protocols\s+([^;]*);", text, re.M):
            if not set(versions.upper().split()) <= set(_VERSIONS[_LEAST:]):
                yield f"{name}: ssl_protocols {versions} allows versions below TLS 1.2"


def _protocols_of_partners(table: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"^(\S+)\s.*?\bprotocols=(\S+)", table, re.M)


def _is_new(value: str) -> bool:
    """Return whether a protocol list is valid and allows nothing below TLS 1.2."""
    allowed = set(range(len(_VERSIONS)))
    included: set[int] = set()
    for word in re.split(r"[\s,:]+", value.strip()):
        match = re.fullmatch(r"(>=|<=|!|)([A-Z0-9.]+)", word.upper())
        if match is None or match[2] not in _VERSIONS:
            return False
        place = _VERSIONS.index(match[2])
        if match[1] == ">=":
            allowed &= set(range(place, len(_VERSIONS)))
        elif match[1] == "<=":
            allowed &= set(range(place + 1))
        elif match[1] == "!":
            allowed -= {place}
        else:
            included.add(place)
    if included:
        allowed &= included
    return bool(allowed) and min(allowed) >= _LEAST


def tls_required_header(resource: CheckedResource) -> Iterator[str]:
    """Report where the header `TLS-Required: no` (RFC 8689) can disable TLS for a partner (D6)."""
    if MAIN not in resource.files:
        return
    found = [one for one in settings(resource.files) if one.name == "tls_required_enable"]
    exempt = {str(service) for service in resource.options["exceptServices"]}
    if not any(one.place == MAIN for one in found):
        yield f"{MAIN} leaves tls_required_enable on. Write tls_required_enable = no"
    for one in found:
        if (
            one.value.lower() != "no"
            and one.place.removeprefix(f"{MASTER}, service ") not in exempt
        ):
            yield f"{one.place}: tls_required_enable = {one.value}. Write no"


def queue_life(resource: CheckedResource) -> Iterator[str]:
    """Report a queue lifetime that is too short for an outage over a weekend."""
    least = float(resource.options["minimumDays"]) * _UNITS["d"]
    for one in settings(resource.files):
        if one.name == "maximal_queue_lifetime" and (_seconds(one.value) or 0) < least:
            yield (
                f"{one.place}: held mail bounces after {one.value}."
                f" Set tlsgate:queue.lifetime to {resource.options['minimumDays']:g}d or more"
            )


def _seconds(value: str) -> float | None:
    match = re.fullmatch(r"([0-9]+)([smhdw]?)", value)
    return float(match[1]) * _UNITS[match[2] or "d"] if match else None


def open_relay(resource: CheckedResource) -> Iterator[str]:
    """Report wide public networks whose hosts may relay through the gateway."""
    for one in settings(resource.files):
        if not (one.name == "mynetworks" or one.name.endswith("_networks")):
            continue
        for word in re.split(r"[\s,]+", one.value):
            fault = _wide(word, resource) if word and not word.startswith(("$", "!")) else None
            if fault:
                yield (
                    f"{one.place}: {one.name} has {word}, {fault}."
                    " Name your own servers' networks in tlsgate:internal.networks"
                )


def _wide(word: str, resource: CheckedResource) -> str | None:
    try:
        network = ipaddress.ip_network(word.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return "which is not a valid network"
    if any(_within(network, private) for private in _PRIVATE):
        return None
    least = int(resource.options["ipv4Prefix" if network.version == 4 else "ipv6Prefix"])
    return f"wider than /{least}" if network.prefixlen < least else None


def _within(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    wide: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> bool:
    # `is_private` checks only the first and last address, so 0.0.0.0/0 counts as private.
    return (
        network.version == wide.version
        and wide.network_address <= network.network_address  # type: ignore[operator]
        and network.broadcast_address <= wide.broadcast_address  # type: ignore[operator]
    )


RULES = (
    Rule(
        "tls-version",
        "Partners and clients of the policy host get TLS 1.2 or later.",
        (DELIVERY,),
        tls_version,
    ),
    Rule(
        "tls-required-header",
        "No message can switch off a partner's policy with a header.",
        (DELIVERY,),
        tls_required_header,
        {"exceptServices": {"type": "array", "items": {"type": "string"}, "default": []}},
    ),
    Rule(
        "queue-life",
        "Held mail stays in the queue long enough for the fault to be fixed.",
        (DELIVERY,),
        queue_life,
        {"minimumDays": {"type": "number", "minimum": 0, "default": 2}},
    ),
    Rule(
        "open-relay",
        "Only your own networks can relay.",
        (DELIVERY,),
        open_relay,
        {
            "ipv4Prefix": {"type": "integer", "minimum": 1, "maximum": 32, "default": 16},
            "ipv6Prefix": {"type": "integer", "minimum": 1, "maximum": 128, "default": 32},
        },
    ),
)
