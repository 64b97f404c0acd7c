"""What would have happened to the messages of a log under a new list: sent, held, or unknown.

The log says how a message was sent, but has no names or keys of certificates. If a message was
verified under the old rule, and the new rule accepts everything that the old one did, it would be
sent. Where this does not decide, the answer is unknown.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tlsgate.partners.diff import rule_of, rules_by_key
from tlsgate.partners.model import Allow, Direction, Mode, Partner, Require, Verify
from tlsgate.partners.strength import compare, last_day, networks_cover
from tlsgate.review.maillog import Received, Sent, Tls
from tlsgate.review.report import ReportSection
from tlsgate.review.text import Text, value
from tlsgate.tls import allows

OLD_VERSIONS = frozenset({"SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1"})

NO_TLS = "no TLS"
OLD_TLS = "TLS below 1.2"
OLD_SUITE = "only older encryption"
NO_CA = "no certificate of a public CA"
NO_DANE = "no DANE"
NO_CLIENT = "no client certificate"
OUTSIDE = "not from its networks"
NAMES_UNKNOWN = "the log has no names of certificates"
KEYS_UNKNOWN = "the log has no keys"
PROOF_UNKNOWN = "the log does not say whether it was DANE"
CA_UNKNOWN = "the log does not say which CA it was"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would have happened to a message. If both fields are empty, it would have been sent."""

    held: str = ""
    """Why it would have been held, or refused."""
    unknown: str = ""
    """Why the log does not decide it."""


@dataclass(slots=True)
class Tally:
    """The messages of one partner in one direction."""

    partner: str
    direction: Direction
    observed: bool
    messages: int = 0
    held: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)


def replay(
    messages: Iterable[Sent | Received],
    old: Sequence[Partner],
    new: Sequence[Partner],
    since: date | None = None,
) -> tuple[Tally, ...]:
    """Count what the new list would have done, for each record whose rule has changed.

    Messages before the day `since` are left out; those without a day are not.
    """
    before, after = rules_by_key(old), rules_by_key(new)
    networks = [(block, one) for one in new for block in one.inbound.networks]
    tallies: dict[tuple[str, Direction], Tally] = {}
    for message in messages:
        if since and message.day and message.day < since:
            continue
        if isinstance(message, Received) and not message.domain:
            rule = _in_networks(message.address, networks)
        else:
            rule = rule_of(after, message.domain)
        if rule is None:
            continue
        key = message.domain or rule.domains[0]
        had = rule_of(before, key)
        if had is None or compare(key, had, rule):
            _count(tallies, message, had, rule)
    return tuple(sorted(tallies.values(), key=lambda one: (one.partner, one.direction)))


def _in_networks(address: str, networks: Sequence[tuple[str, Partner]]) -> Partner | None:
    """Return the partner whose networks contain the address."""
    block = _block(address)
    return next((one for wide, one in networks if block and networks_cover([wide], [block])), None)


def _block(address: str) -> str:
    try:
        return str(ipaddress.ip_network(address))
    except ValueError:
        return ""


def _count(
    tallies: dict[tuple[str, Direction], Tally],
    message: Sent | Received,
    had: Partner | None,
    rule: Partner,
) -> None:
    if isinstance(message, Sent):
        direction, verdict = Direction.OUTBOUND, judge_sent(message, had, rule)
    else:
        direction, verdict = Direction.INBOUND, judge_received(message, had, rule)
    fresh = Tally(rule.name, direction, rule.mode is Mode.OBSERVE)
    tally = tallies.setdefault((rule.name, direction), fresh)
    tally.messages += 1
    if verdict.held:
        tally.held[verdict.held] += 1
    if verdict.unknown:
        tally.unknown[verdict.unknown] += 1


def judge_sent(message: Sent, old: Partner | None, new: Partner) -> Verdict:
    """Return what the new rule would have done with a message that was sent under the old one."""
    tls = message.tls
    if _excepted(message.day, new, Direction.OUTBOUND, tls):
        return _THROUGH
    fault = _too_weak(tls, new)
    if tls is None or fault:
        return Verdict(held=fault)
    if tls.word == "Verified" and old is not None and _accepts_all(message.domain, old, new):
        return _THROUGH
    too_little, held, unknown = _WORDS[new.outbound.verify]
    return Verdict(held=held) if tls.word in too_little else Verdict(unknown=unknown)


_THROUGH = Verdict()
_WORDS: Mapping[Verify, tuple[frozenset[str], str, str]] = {
    Verify.PKIX: (frozenset({"Anonymous", "Untrusted"}), NO_CA, NAMES_UNKNOWN),
    Verify.DANE: (frozenset({"Anonymous", "Untrusted", "Trusted"}), NO_DANE, PROOF_UNKNOWN),
    Verify.PIN: (frozenset(), "", KEYS_UNKNOWN),
    Verify.PRIVATE_CA: (frozenset(), "", CA_UNKNOWN),
}
"""The log's words that are not enough, the reason, and what the log lacks for the others."""


def _accepts_all(domain: str, old: Partner, new: Partner) -> bool:
    """Return whether the new rule accepts every server that the old rule verified."""
    back = compare(domain, new, old)  # from new to old: is anything weaker?
    return old.mode is Mode.ENFORCE and not any(
        one.weaker and one.aspect.startswith("outbound.") for one in back
    )


def judge_received(message: Received, old: Partner | None, new: Partner) -> Verdict:
    """Return what the new rule would have done with a message that was accepted."""
    if _excepted(message.day, new, Direction.INBOUND, message.tls):
        return _THROUGH
    fault = _too_weak(message.tls, new)
    if message.tls is None or fault:
        return Verdict(held=fault)
    if not message.domain or new.inbound.require is Require.TLS:
        return _THROUGH
    if new.inbound.require is Require.NETWORK:
        block = _block(message.address)
        inside = bool(block) and networks_cover(new.inbound.networks, [block])
        return _THROUGH if inside else Verdict(held=OUTSIDE)
    return _by_certificate(message.tls, old, new)


def _by_certificate(tls: Tls, old: Partner | None, new: Partner) -> Verdict:
    if tls.word == "Anonymous":
        return Verdict(held=NO_CLIENT)
    pinned = old is not None and old.mode is Mode.ENFORCE and old.inbound.public_keys
    known = bool(pinned) and set(pinned or ()) <= set(new.inbound.public_keys)
    return _THROUGH if known else Verdict(unknown=KEYS_UNKNOWN)


def _too_weak(tls: Tls | None, new: Partner) -> str:
    """Return what is wrong with the TLS of a session, "" if nothing is."""
    if tls is None:
        return NO_TLS
    if tls.version in OLD_VERSIONS:
        return OLD_TLS
    return "" if allows(new.tls, tls.version, tls.suite) else OLD_SUITE


def _excepted(day: date | None, new: Partner, direction: Direction, tls: Tls | None) -> bool:
    allow = Allow.ENCRYPTED if tls else Allow.PLAINTEXT
    return (day or date.max) <= last_day(new.exceptions, direction, allow)


def replay_section(tallies: Sequence[Tally], days: int) -> ReportSection:
    """Return the report's part on the log.

    JSON: `{"days": int, "partners": [{"partner", "direction", "observed": bool, "messages": int,
    "held": {reason: int}, "unknown": {reason: int}}]}`.
    """
    lines = [_line(tally) for tally in tallies] or [_NOTHING]
    data: Mapping[str, Any] = {
        "days": days,
        "partners": [
            {
                "partner": tally.partner,
                "direction": tally.direction.value,
                "observed": tally.observed,
                "messages": tally.messages,
                "held": dict(tally.held.most_common()),
                "unknown": dict(tally.unknown.most_common()),
            }
            for tally in tallies
        ],
    }
    return ReportSection(
        f"What would have happened to the mail of the last {days} days", tuple(lines), data
    )


_NOTHING: Text = ("the log has no mail to or from a domain whose rule changes",)


def _line(tally: Tally) -> Text:
    held, unknown = tally.held.total(), tally.unknown.total()
    way = "to" if tally.direction is Direction.OUTBOUND else "from"
    what = "held" if tally.direction is Direction.OUTBOUND else "refused"
    would = f"only be counted as {what} (observe)" if tally.observed else f"be {what}"
    said = [f": of {tally.messages} messages {way} it, {held} would {would}"]
    said += [f" ({_reasons(tally.held)})"] if held else []
    said += [f"; {unknown} cannot be decided ({_reasons(tally.unknown)})"] if unknown else []
    return (value(tally.partner), *said)


def _reasons(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in counts.most_common())
