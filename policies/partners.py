"""Rules on the partner list: whether it was compiled correctly, and which dates are due.

They compare the list in the gateway's configuration with the tables beside it that Postfix reads.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import timedelta
from functools import lru_cache

from pulumi_policy import EnforcementLevel

from policies.postfix import MAIN, settings
from policies.rule import DELIVERY, CheckedResource, Rule, some
from tlsgate.partners.model import (
    Direction,
    Mode,
    Partner,
    Require,
    Verify,
    partner_from_dict,
)
from tlsgate.render.outbound_policy import COMPATIBLE
from tlsgate.tls import Strength

LIST = "partners.json"
POLICY = "partner_policy"
SENDERS = "partner_senders"
RULES_FILE = "partner_rules.json"
_LEVELS = {"secure", "dane-only", "fingerprint"}
"""Levels of smtp_tls_policy_maps that authenticate and have no fallback."""
_NEEDS_TLS = "reject_plaintext_session"
_ASKS_HELPER = "check_policy_service "


@lru_cache(maxsize=4)
def _records(text: str) -> tuple[Partner, ...]:
    return tuple(partner_from_dict(record) for record in json.loads(text))


@lru_cache(maxsize=8)
def table(text: str) -> dict[str, str]:
    """Return the entries of a lookup table's source (postmap(1))."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line[:1] not in ("", "#"))
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def listed(resource: CheckedResource) -> tuple[Partner, ...]:
    """Return the records of the list beside the tables."""
    return _records(resource.files[LIST]) if LIST in resource.files else ()


@lru_cache(maxsize=4)
def _helper_rules(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return the policy helper's answers: key → its final policy, and the dated ones before."""
    rules = json.loads(text)["outbound"] if text else ()
    return {
        rule["key"]: (rule["then"], [policy for _, policy in rule["periods"]])
        for rule in rules
        if not rule["observe"]
    }


def enforced(resource: CheckedResource) -> Iterator[str]:
    """Require authenticated TLS for each enforced partner in both directions, and no empty list."""
    if LIST not in resource.files:
        return
    yield from _tables_in_use(resource)
    tables = _Tables(resource)
    older = any(partner.tls is Strength.COMPATIBLE for partner in listed(resource))
    found: dict[str, list[str]] = {}
    for partner in listed(resource):
        if partner.mode is not Mode.ENFORCE:
            continue
        for fault in _empty_lists(partner):
            found.setdefault(fault, []).append(partner.name)
        excepted = {rule.direction for rule in partner.exceptions}
        strong = partner.tls is Strength.STRONG
        for key in keys(partner):
            outbound = tables.outbound(key, excepted, strong)
            for fault in (*outbound, *tables.inbound(key, excepted, strong and older)):
                found.setdefault(fault, []).append(key)
    for fault, whose in found.items():
        yield f"{fault}: {some(whose)}"


class _Tables:
    """The entries of Postfix and the policy helper for each key."""

    def __init__(self, resource: CheckedResource) -> None:
        files = resource.files
        self._policy, self._senders = (table(files.get(name, "")) for name in (POLICY, SENDERS))
        self._rules = _helper_rules(files.get(RULES_FILE, ""))
        self._main = {one.name: one.value for one in settings(files) if one.place == MAIN}

    def outbound(self, key: str, excepted: Collection[Direction], strong: bool) -> Iterator[str]:
        """Refuse levels that do not authenticate, also after the end of an exception.

        `strong`: older encryption is refused too.
        """
        entries = [self._policy[key]] if key in self._policy else []
        if key in self._rules:
            then, until = self._rules[key]
            entries += [then] if Direction.OUTBOUND in excepted else [then, *until]
        if not entries:
            yield f"{POLICY}: no entry, so the partner gets opportunistic TLS"
        yield from (f"{POLICY}: {fault}" for one in entries if (fault := _weak(one, strong)))

    def inbound(
        self, key: str, excepted: Collection[Direction], needs_helper: bool
    ) -> Iterator[str]:
        """Refuse entries that accept plaintext; with an exception, the helper must be asked.

        `needs_helper`: port 25 offers older encryption than the record allows, which only the
        helper refuses.
        """
        entry = self._senders.get(key)
        if entry is None:
            yield f"{SENDERS}: no entry, so plaintext is accepted"
            return
        does = self._main.get(entry, entry)
        dated = Direction.INBOUND in excepted and does.startswith(_ASKS_HELPER)
        if not dated and not does.startswith(_NEEDS_TLS):
            yield f"{SENDERS}: {entry} accepts plaintext"
        elif needs_helper and _ASKS_HELPER not in does:
            yield f"{SENDERS}: {entry} accepts older encryption, which the record does not"


def _tables_in_use(resource: CheckedResource) -> Iterator[str]:
    """Require that both tables are used, the outbound one before any other."""
    values = {one.name: one.value for one in settings(resource.files) if one.place == MAIN}
    first = values.get("smtp_tls_policy_maps", "").partition(" ")[0].rstrip(",")
    if not first.endswith(f"/{POLICY}"):
        yield f"{MAIN}: smtp_tls_policy_maps does not use {POLICY} first"
    if f"/{SENDERS}" not in values.get("smtpd_sender_restrictions", "").partition("permit")[0]:
        yield f"{MAIN}: smtpd_sender_restrictions does not use {SENDERS} before any permit"


def keys(partner: Partner) -> Iterator[str]:
    """Yield the keys of a record in Postfix's tables."""
    for domain in partner.domains:
        yield domain
        if partner.subdomains:
            yield f".{domain}"


def _empty_lists(partner: Partner) -> Iterator[str]:
    if not partner.domains:
        yield "a partner without domains"
    if partner.outbound.verify is Verify.PIN and not partner.outbound.public_keys:
        yield "outbound.verify is pin, but no key is pinned"
    if partner.outbound.verify is Verify.PRIVATE_CA and not partner.outbound.ca:
        yield "outbound.verify is private-ca, but no CA is given"
    if partner.inbound.require is Require.CERTIFICATE and not partner.inbound.public_keys:
        yield "inbound.require is certificate, but no key is pinned"
    if partner.inbound.require is Require.NETWORK and not partner.inbound.networks:
        yield "inbound.require is network, but no network is named"


def _weak(entry: str, strong: bool) -> str | None:
    level, *attributes = entry.split() or ["(none)"]
    if level not in _LEVELS:
        return f"level {level} does not authenticate the partner"
    names = [one.partition("=")[2] for one in attributes if one.startswith("match=")]
    if (level == "fingerprint" and not names) or not all(name.strip(":|") for name in names):
        return f"level {level} with an empty match="
    ciphers = [one for one in attributes if one.startswith("ciphers=")]
    if any(strong or one != COMPATIBLE.strip() for one in ciphers):
        return f"level {level} with {' '.join(ciphers)}, which the record does not allow"
    return None


def review_due(resource: CheckedResource) -> Iterator[str]:
    """Report partners whose agreement must be confirmed again."""
    due = [f"{one.name} ({one.review})" for one in listed(resource) if one.review < resource.today]
    if due:
        yield f"past the review date: {some(due)}. Confirm the agreement and write the next date"


def review_overdue(resource: CheckedResource) -> Iterator[str]:
    """Report partners that are long past the date."""
    last = resource.today - timedelta(days=int(resource.options["graceDays"]))
    due = [f"{one.name} ({one.review})" for one in listed(resource) if one.review < last]
    if due:
        yield (
            f"more than {int(resource.options['graceDays'])} days past the review date:"
            f" {some(due)}. Confirm the agreement and write the next date, or remove the partner"
        )


def exceptions(resource: CheckedResource) -> Iterator[str]:
    """Report exceptions that last too long or are not approved."""
    days = int(resource.options["maximumDays"])
    last = resource.today + timedelta(days=days)
    approvers = {str(address).lower() for address in resource.options["approvers"]}
    for partner in listed(resource):
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
        "Mail to and from enforced partners needs authenticated TLS.",
        (DELIVERY,),
        enforced,
    ),
    Rule(
        "partner-review-due",
        "Agreements with partners are confirmed by their review date.",
        (DELIVERY,),
        review_due,
        level=EnforcementLevel.ADVISORY,
    ),
    Rule(
        "partner-review-overdue",
        "Partners are not left unconfirmed long after their review date.",
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
