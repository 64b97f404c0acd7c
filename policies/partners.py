"""Rules on the partner list: what was compiled of it, and what in it is due.

They read the list in the gateway's generation, and hold the tables beside it that Postfix reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache

from pulumi_policy import EnforcementLevel

from policies.postfix import MAIN, settings
from policies.rule import DELIVERY, Rule, Seen, some
from tlsgate.partners.model import (
    Direction,
    Mode,
    Partner,
    Require,
    Verify,
    partner_from_dict,
)

LIST = "partners.json"
POLICY = "partner_policy"
SENDERS = "partner_senders"
_LEVELS = {"secure", "dane-only", "fingerprint"}
"""Levels of smtp_tls_policy_maps that authenticate, and fall back to nothing."""
_OPEN = re.compile(r"(?:ok|relay|dunno|permit\S*|[0-9]+)\b", re.IGNORECASE)
"""Results of access(5) that let a session go on without TLS."""


@lru_cache(maxsize=4)
def _records(text: str) -> tuple[Partner, ...]:
    return tuple(partner_from_dict(record) for record in json.loads(text))


@lru_cache(maxsize=8)
def _table(text: str) -> dict[str, str]:
    """Return the entries of a lookup table's source (postmap(1))."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line[:1] not in ("", "#"))
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def _listed(seen: Seen) -> tuple[Partner, ...]:
    return _records(seen.files[LIST]) if LIST in seen.files else ()


def enforced(seen: Seen) -> Iterator[str]:
    """Both directions of each enforced partner: no plaintext level, and no empty list."""
    if LIST not in seen.files:
        return
    yield from _tables_in_use(seen)
    policy, senders = (_table(seen.files.get(name, "")) for name in (POLICY, SENDERS))
    found: dict[str, list[str]] = {}
    for partner in _listed(seen):
        if partner.mode is not Mode.ENFORCE:
            continue
        for fault in _empty_lists(partner):
            found.setdefault(fault, []).append(partner.name)
        excepted = {rule.direction for rule in partner.exceptions}
        for key in _keys(partner):
            weak, plain = _weak_level(policy.get(key)), _open_class(senders.get(key))
            if weak and Direction.OUTBOUND not in excepted:
                found.setdefault(f"{POLICY}: {weak}", []).append(key)
            if plain and Direction.INBOUND not in excepted:
                found.setdefault(f"{SENDERS}: {plain}", []).append(key)
    for fault, whose in found.items():
        yield f"{fault}: {some(whose)}"


def _tables_in_use(seen: Seen) -> Iterator[str]:
    """The two tables must be asked, and outbound before any other."""
    values = {one.name: one.value for one in settings(seen.files) if one.place == MAIN}
    first = values.get("smtp_tls_policy_maps", "").partition(" ")[0].rstrip(",")
    if not first.endswith(f"/{POLICY}"):
        yield f"{MAIN}: smtp_tls_policy_maps does not ask {POLICY} first"
    if f"/{SENDERS}" not in values.get("smtpd_sender_restrictions", "").partition("permit")[0]:
        yield f"{MAIN}: smtpd_sender_restrictions does not ask {SENDERS} before any permit"


def _keys(partner: Partner) -> Iterator[str]:
    for domain in partner.domains:
        yield domain
        if partner.subdomains:
            yield f".{domain}"


def _empty_lists(partner: Partner) -> Iterator[str]:
    if not partner.domains:
        yield "a partner without domains"
    if partner.outbound.verify is Verify.PIN and not partner.outbound.public_keys:
        yield "outbound.verify is pin, and no key is pinned"
    if partner.inbound.require is Require.CERTIFICATE and not partner.inbound.public_keys:
        yield "inbound.require is certificate, and no key is pinned"
    if partner.inbound.require is Require.NETWORK and not partner.inbound.networks:
        yield "inbound.require is network, and no network is named"


def _weak_level(entry: str | None) -> str | None:
    level, *attributes = (entry or "").split() or [""]
    if not level:
        return "no entry, so the partner gets opportunistic TLS"
    if level not in _LEVELS:
        return f"level {level} does not authenticate the partner"
    names = [one.partition("=")[2] for one in attributes if one.startswith("match=")]
    if (level == "fingerprint" and not names) or not all(name.strip(":|") for name in names):
        return f"level {level} with an empty match="
    return None


def _open_class(entry: str | None) -> str | None:
    if not entry:
        return "no entry, so plaintext is accepted"
    return f"{entry} accepts plaintext" if _OPEN.match(entry) else None


def review_due(seen: Seen) -> Iterator[str]:
    """Partners whose agreement is to be confirmed again."""
    due = [f"{one.name} ({one.review})" for one in _listed(seen) if one.review < seen.today]
    if due:
        yield f"past the review date: {some(due)}. Confirm the agreement, and write the next date"


def review_overdue(seen: Seen) -> Iterator[str]:
    """The same, long after the date."""
    last = seen.today - timedelta(days=int(seen.options["graceDays"]))
    due = [f"{one.name} ({one.review})" for one in _listed(seen) if one.review < last]
    if due:
        yield (
            f"more than {int(seen.options['graceDays'])} days past the review date: {some(due)}."
            " Confirm the agreement and write the next date, or remove the partner"
        )


def exceptions(seen: Seen) -> Iterator[str]:
    """Exceptions that last too long, or that nobody answers for."""
    days = int(seen.options["maximumDays"])
    last = seen.today + timedelta(days=days)
    approvers = {str(address).lower() for address in seen.options["approvers"]}
    for partner in _listed(seen):
        for rule in partner.exceptions:
            what = f"{partner.name}: the {rule.direction} exception until {rule.until}"
            if rule.until > last:
                yield f"{what} lasts more than {days} days from today. Write {last} or earlier"
            if not rule.approved_by.strip():
                yield f"{what} has no approver. Write approved_by"
            elif approvers and rule.approved_by.lower() not in approvers:
                yield f"{what} is approved by {rule.approved_by}, not by {some(approvers)}"


RULES = (
    Rule(
        "partner-enforced",
        "An enforced partner's mail goes and comes over authenticated TLS.",
        (DELIVERY,),
        enforced,
    ),
    Rule(
        "partner-review-due",
        "Partners are confirmed again by their review date.",
        (DELIVERY,),
        review_due,
        level=EnforcementLevel.ADVISORY,
    ),
    Rule(
        "partner-review-overdue",
        "No partner stays unconfirmed long after its review date.",
        (DELIVERY,),
        review_overdue,
        {"graceDays": {"type": "integer", "minimum": 0, "default": 60}},
    ),
    Rule(
        "partner-exceptions",
        "Exceptions are short and approved.",
        (DELIVERY,),
        exceptions,
        {
            "maximumDays": {"type": "integer", "minimum": 0, "default": 30},
            "approvers": {"type": "array", "items": {"type": "string"}, "default": []},
        },
    ),
)
