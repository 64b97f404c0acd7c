"""What Postfix's files are made of, checked so that no value can become another line or setting."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

INTERNAL_TLS_LEVELS = ("none", "may", "encrypt", "secure")
INTERNAL_PORT = 2525
"""The listener for the organisation's own servers, inside the container."""
PARTNERS, TLS = "partners", "tls"
NULL_SENDERS = (PARTNERS, TLS)
"""From whom the null sender needs TLS on port 25: the partners' servers, or everybody."""
REFUSE, ACCEPT = "refuse", "accept"
OWN_SENDERS = (REFUSE, ACCEPT)
"""What happens on port 25 to a sender in an own domain."""
RECIPIENT_CHECKS = ("verify", "list", "any")

Parameters = Mapping[str, str | Sequence[str]]
MainCfSection = tuple[str, Parameters]
"""Parameters of main.cf below their title; a list is written one item a line."""

_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"[1-9][0-9]*[smhdw]")
_MAILBOX = re.compile(r"[a-z0-9_.+=-]+@[a-z0-9._-]+")
MILTER = re.compile(r"(inet:[A-Za-z0-9.:\[\]-]+:[0-9]{1,5}|unix:/[A-Za-z0-9._/-]+)")
_ROUTE_KEY = re.compile(r"\*|\.?([a-z0-9_]([a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_NEXTHOP = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[A-Za-z0-9.:-]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class PostfixSettings:
    """One gateway. Raises ValueError, naming the field, on a value that Postfix must not see.

    `host_name`: the MX name; certificate, greeting and HELO. `domains`: received for, canonical.
    `internal_host`, `internal_port`, `internal_tls`: where mail for `domains` goes, and its TLS
    level. `internal_networks`: CIDR blocks that may send anywhere, through port 2525 alone.
    `internal_tls_required`: they are refused in plaintext. `message_size`: bytes.
    `queue_lifetime`, `delay_warning`, `retry_shortest`, `retry_longest`: Postfix durations (`5d`).
    `milters`: `inet:host:port` or `unix:/path`; mail waits when one is down. `extra_ca`: PEM of
    roots trusted besides the system's. `routes`: domain, `.domain` or `*` → next hop.
    `relayhost`: next hop of everything else, or "". `policy_host`, `notices_host`: where the
    policy helper and the notices' milter answer. `public_addresses`: of this gateway behind address
    translation, so that a loop is seen. `inet_protocols`: ipv4, ipv6 or all. `recipients`: how a
    recipient of an own domain is known: `verify` (the internal server is asked), `list`
    (`recipient_list`, addresses) or `any`. `internal_senders`: domains, `.domain` and addresses
    that the internal networks may send as, besides the own domains. `postmaster`: where mail for
    postmaster@ and abuse@ goes; "": to these addresses at the internal server. `null_sender`: one
    of `NULL_SENDERS`. `own_senders`: one of `OWN_SENDERS`.
    """

    host_name: str
    domains: tuple[str, ...]
    internal_host: str
    internal_port: int = 25
    internal_tls: str = "encrypt"
    internal_networks: tuple[str, ...] = ()
    internal_tls_required: bool = True
    message_size: int = 52_428_800
    queue_lifetime: str = "5d"
    delay_warning: str = "1h"
    retry_shortest: str = "5m"
    retry_longest: str = "1h"
    milters: tuple[str, ...] = ()
    extra_ca: str = ""
    routes: tuple[tuple[str, str], ...] = ()
    relayhost: str = ""
    policy_host: str = "policy"
    notices_host: str = "notices"
    public_addresses: tuple[str, ...] = ()
    inet_protocols: str = "ipv4"
    recipients: str = "verify"
    recipient_list: tuple[str, ...] = ()
    internal_senders: tuple[str, ...] = ()
    postmaster: str = ""
    null_sender: str = PARTNERS
    own_senders: str = REFUSE

    def __post_init__(self) -> None:
        _check(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PostfixSettings:
        """Settings from `to_dict` or its JSON. Raises ValueError, TypeError."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"PostfixSettings has no {', '.join(unknown)}")
        return cls(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _check(settings: PostfixSettings) -> None:
    _require("host_name", _host_name(settings.host_name) and "." in settings.host_name)
    _require("domains", settings.domains and all(map(_host_name, settings.domains)))
    _require("internal_host", is_address(settings.internal_host) or _host(settings.internal_host))
    _require("internal_port", 0 < settings.internal_port < 65_536)
    _require("internal_tls", settings.internal_tls in INTERNAL_TLS_LEVELS)
    if settings.internal_tls == "secure" and is_address(settings.internal_host):
        raise ValueError("internal_tls is secure, so internal_host must be a name, not an address")
    for cidr in settings.internal_networks:
        if parse_network(cidr).prefixlen == 0:
            raise ValueError(f"internal_networks: {cidr} would be an open relay")
    _require("message_size", settings.message_size > 0)
    for name in ("queue_lifetime", "delay_warning", "retry_shortest", "retry_longest"):
        _require(name, _DURATION.fullmatch(getattr(settings, name)))
    _require("milters", all(map(MILTER.fullmatch, settings.milters)))
    _require("routes", all(is_route_key(key) for key, _ in settings.routes))
    _require("routes", all(map(is_route, (hop for _, hop in settings.routes))))
    _require("relayhost", not settings.relayhost or _NEXTHOP.fullmatch(settings.relayhost))
    _require("policy_host", is_address(settings.policy_host) or _host(settings.policy_host))
    _require("notices_host", is_address(settings.notices_host) or _host(settings.notices_host))
    _require("public_addresses", all(map(is_address, settings.public_addresses)))
    _require("inet_protocols", settings.inet_protocols in {"ipv4", "ipv6", "all"})
    _require("recipients", settings.recipients in RECIPIENT_CHECKS)
    _require("recipient_list", all(map(is_mailbox, settings.recipient_list)))
    _require("internal_senders", all(map(is_sender, settings.internal_senders)))
    _require("postmaster", not settings.postmaster or is_mailbox(settings.postmaster))
    _require("null_sender", settings.null_sender in NULL_SENDERS)
    _require("own_senders", settings.own_senders in OWN_SENDERS)
    _require("extra_ca", not settings.extra_ca or "BEGIN CERTIFICATE" in settings.extra_ca)


def _require(field: str, holds: object) -> None:
    if not holds:
        raise ValueError(f"PostfixSettings.{field} has a value that Postfix must not see")


def _host_name(name: str) -> bool:
    return bool(_HOST.fullmatch(name)) and len(name) <= 253 and not is_address(name)


def _host(name: str) -> bool:
    return _host_name(name.lower())


def is_address(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address, without a zone index."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # Python lets a zone index (`%eth0`) hold any character, the end of a line too.
    return "%" not in text


def parse_network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A CIDR block without host bits. Raises ValueError, also for one with a zone index."""
    network = ipaddress.ip_network(cidr)
    if "%" in cidr:
        raise ValueError(f"{cidr!r} has a zone index")
    return network


def is_mailbox(text: str) -> bool:
    """A plain address in lower case, such as postmaster@example.org."""
    return bool(_MAILBOX.fullmatch(text)) and _host_name(text.partition("@")[2])


def is_sender(text: str) -> bool:
    """Whom a network may send as: a domain, `.domain` for those below it, or an address."""
    return is_mailbox(text) if "@" in text else _host_name(text.removeprefix("."))


def bracketed(host: str) -> str:
    """The host as a part of `host:port`: an IPv6 address in brackets."""
    return f"[{host}]" if is_address(host) and ":" in host else host


def is_route_key(key: str) -> bool:
    """The key of a route as in transport(5): a lower-case domain, `.domain`, or `*`."""
    return bool(_ROUTE_KEY.fullmatch(key))


def is_route(value: str) -> bool:
    """A next hop as in transport(5): `smtp:` (the domain itself), or a host, with `smtp:` or not.

    Other transports are refused: they would deliver past the gateway's TLS policy.
    """
    nexthop = value.removeprefix("smtp:")
    return bool(_NEXTHOP.fullmatch(nexthop)) or value == "smtp:"
