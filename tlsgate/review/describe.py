"""Describes parts of the record, and what their changes mean for mail."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from tlsgate.partners.model import (
    Allow,
    Direction,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.partners.strength import (
    CLIENT_KEYS,
    EXCEPTIONS,
    MODE,
    NAMES,
    NETWORKS,
    REQUIRE,
    SERVER_CA,
    SERVER_KEYS,
    TLS,
    VERIFY,
    accepted_names,
    certificates,
    last_day,
    names_gained,
    networks_cover,
)
from tlsgate.review.text import Text, listed, value
from tlsgate.tls import Strength

ARROW = " → "
_PIN_SHOWN = 16


def describe_rule(partner: Partner) -> Text:
    """Return both directions of a record: `out: …; in: …`."""
    older = "; older encryption is enough" if partner.tls is Strength.COMPATIBLE else ""
    observed = "; observed only" if partner.mode is Mode.OBSERVE else ""
    ways = (
        "out: ",
        *describe_outbound(partner.outbound),
        "; in: ",
        *describe_inbound(partner.inbound),
    )
    return (*ways, older, observed)


def describe_outbound(rule: Outbound) -> Text:
    """Return what a server must show."""
    match rule.verify:
        case Verify.PKIX:
            return ("a public CA's certificate for ", *_names(rule))
        case Verify.PRIVATE_CA:
            return ("a private CA's certificate for ", *_names(rule))
        case Verify.DANE:
            return ("DANE",)
        case Verify.PIN:
            return ("the pinned key ", *_pins(rule.public_keys))


def describe_inbound(rule: Inbound) -> Text:
    """Return what a client must show."""
    match rule.require:
        case Require.TLS:
            return ("TLS",)
        case Require.CERTIFICATE:
            return ("TLS with the client key ", *_pins(rule.public_keys))
        case Require.NETWORK:
            return ("TLS from ", *listed(rule.networks))


def _names(rule: Outbound) -> Text:
    return listed(rule.mx) if rule.mx else ("the domain itself",)


def _cas(pem: str) -> Text:
    """Return the SHA-256 of each certificate, as `openssl x509 -fingerprint -sha256` has it."""
    ders = (base64.b64decode(body) for body in certificates(pem))
    return _pins([hashlib.sha256(der).hexdigest() for der in ders]) or _NONE


def _pins(pins: Sequence[str]) -> Text:
    return listed([f"{pin[:_PIN_SHOWN]}…" for pin in pins])


def describe_change(aspect: str, old: Partner, new: Partner) -> Text:
    """Return the old and the new value of a part of the record."""
    if aspect.startswith(f"{EXCEPTIONS}."):
        return _exception_change(aspect, old, new)
    if aspect not in _PARTS:
        return (f"{aspect} has changed",)
    title, part = _PARTS[aspect]
    return (title, *part(old), ARROW, *part(new))


_NONE: Text = ("none",)


def _out(partner: Partner) -> Text:
    return describe_outbound(partner.outbound)


def _in(partner: Partner) -> Text:
    return describe_inbound(partner.inbound)


_PARTS: Mapping[str, tuple[str, Callable[[Partner], Text]]] = {
    MODE: ("mode: ", lambda one: (one.mode.value,)),
    TLS: ("tls: ", lambda one: (one.tls.value,)),
    VERIFY: ("out: ", _out),
    NAMES: ("out: ", _out),
    SERVER_KEYS: ("out: ", _out),
    SERVER_CA: ("private CA: ", lambda one: _cas(one.outbound.ca)),
    REQUIRE: ("in: ", _in),
    CLIENT_KEYS: ("in: ", _in),
    NETWORKS: ("networks: ", lambda one: listed(one.inbound.networks) or _NONE),
}


def describe_effect(
    aspect: str, weaker: bool, keys: Sequence[str], old: Partner, new: Partner
) -> Text:
    """Return what a difference means for mail."""
    if aspect == NAMES:
        return _names_effect(weaker, keys, old.outbound, new.outbound)
    if aspect in (SERVER_KEYS, CLIENT_KEYS):
        return _keys_effect(aspect, weaker, old, new)
    if aspect == REQUIRE:
        return _require_effect(weaker, new.inbound)
    if aspect == NETWORKS:
        return _networks_effect(weaker, old.inbound, new.inbound)
    if aspect.startswith(f"{EXCEPTIONS}."):
        return exception_effect(aspect, new)
    return (_EFFECTS.get((aspect, weaker), "its effect is not known: not provably as strict"),)


_EFFECTS = {
    (MODE, True): "no mail is held or refused any more: it is only counted",
    (MODE, False): "mail without the agreed proof is held or refused from now on",
    (TLS, True): "mail is also sent and accepted over older encryption, which is easier to break",
    (TLS, False): "mail is held or refused where only older encryption is offered",
    (SERVER_CA, True): "mail is also sent to servers with a certificate of another CA",
    (SERVER_CA, False): "mail to servers with a certificate of the removed CA is held",
    (VERIFY, True): "servers may be accepted that were not before: not provably as strict",
}
UNLISTED: Text = (
    "mail to and from these domains is no longer protected: without TLS it is sent in plaintext",
)
"""What it means to be no longer on the list."""


def _names_effect(weaker: bool, keys: Sequence[str], old: Outbound, new: Outbound) -> Text:
    """Name what one of the two rules accepts and the other does not."""
    less, more = (old, new) if weaker else (new, old)
    shown: Text = ("the domain itself",)
    if more.mx:
        gained = (names_gained(accepted_names(key, less), more.mx) for key in keys)
        shown = listed(sorted({name for names in gained for name in names}))
    if weaker:
        return ("mail is also sent to a server whose certificate names ", *shown)
    return ("mail to a server whose certificate names only these is held: ", *shown)


def _keys_effect(aspect: str, weaker: bool, old: Partner, new: Partner) -> Text:
    before, after = set(old.outbound.public_keys), set(new.outbound.public_keys)
    gained, lost = "mail is also sent to a server with", "mail is no longer sent to a server with"
    if aspect == CLIENT_KEYS:
        before, after = set(old.inbound.public_keys), set(new.inbound.public_keys)
        gained, lost = "its mail is also accepted with", "its mail is refused with"
    pins = after - before if weaker else before - after
    return (gained if weaker else lost, " the key ", *_pins(sorted(pins)))


def _require_effect(weaker: bool, new: Inbound) -> Text:
    if not weaker:
        return ("its mail is refused without ", *describe_inbound(new))
    if new.require is Require.TLS:
        return ("its mail is accepted from any client over TLS",)
    return ("clients may be accepted that were not before: not provably as strict",)


def _networks_effect(weaker: bool, old: Inbound, new: Inbound) -> Text:
    gained = [one for one in new.networks if not networks_cover(old.networks, [one])]
    lost = [one for one in old.networks if not networks_cover(new.networks, [one])]
    if new.require is Require.NETWORK:
        if weaker:
            return ("its mail is also accepted from ", *listed(gained))
        return ("its mail is refused from ", *(listed(lost) or ("nowhere else",)))
    if weaker:
        return ("bounces from ", *listed(lost), " are accepted without TLS")
    return ("bounces from ", *(listed(gained) or ("the same addresses",)), " need TLS")


def exception_days(aspect: str, old: Partner | None, new: Partner | None) -> tuple[date, date]:
    """Return the last days, old and new, of what an `exceptions.…` aspect is about."""
    _, direction, allow = aspect.split(".")
    before, after = (
        last_day(one.exceptions if one else (), Direction(direction), Allow(allow))
        for one in (old, new)
    )
    return before, after


def _exception_change(aspect: str, old: Partner, new: Partner) -> Text:
    before, after = exception_days(aspect, old, new)
    days = ARROW.join("none" if day == date.min else f"until {day}" for day in (before, after))
    return (f"{_exception(aspect)}: {days}", *_reason(aspect, after, new))


def exception_opened(aspect: str, new: Partner) -> Text:
    """Return the exception of a partner that was not on the list."""
    _, last = exception_days(aspect, None, new)
    return (f"{_exception(aspect)}: until {last}", *_reason(aspect, last, new))


def _exception(aspect: str) -> str:
    _, direction, allow = aspect.split(".")
    return f"exception for {direction} mail, {allow}"


def _reason(aspect: str, last: date, new: Partner) -> Text:
    """Return the reason and the approver of the exception with this last day."""
    _, direction, _ = aspect.split(".")
    for one in new.exceptions:
        if one.until == last and one.direction == direction:
            return (" (", value(one.reason), ", approved by ", value(one.approved_by), ")")
    return ()


_ALLOWED = {
    ("outbound", "plaintext"): "mail is sent even without TLS",
    ("outbound", "encrypted"): "mail is sent over TLS to any server, without authentication",
    ("inbound", "plaintext"): "its mail is accepted without TLS",
    ("inbound", "encrypted"): "its mail is accepted over TLS from any client",
}


def exception_effect(aspect: str, new: Partner) -> Text:
    """Return what is allowed, and until when."""
    _, direction, allow = aspect.split(".")
    _, last = exception_days(aspect, None, new)
    if last == date.min:
        return ("the rule applies again",)
    return (f"until {last} {_ALLOWED[direction, allow]}",)
