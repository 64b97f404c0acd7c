"""What becomes of a notice (D20). Pure.

| the notice goes to  | and is about    | content | way                          |
| ------------------- | --------------- | ------- | ---------------------------- |
| an own domain       | anything        | as made | the internal server's        |
| anyone else         | no partner      | as made | as any mail                  |
| an outsider         | a partner       | reduced | verified TLS, or it waits    |
| an enforced partner | a partner       | reduced | by the receiver's own policy |
| an observed partner | only that one   | reduced | by the receiver's own policy |
| an observed partner | another partner | reduced | verified TLS, or it waits    |
| an enforced partner | (unreadable)    | nothing | by the receiver's own policy |
| anyone else         | (unreadable)    | nothing | verified TLS, or it waits    |

A notice is about a partner if the partner's domain is the one of a recipient in the delivery
status, or the one that the notice goes to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tlsgate.notices.domain_list import Entry, Listed, domain_of
from tlsgate.notices.report import (
    UNREADABLE_BODY,
    UNREADABLE_TYPE,
    Unreadable,
    read_report,
    reduced,
)

BODY_LIMIT = 512 * 1024
"""Octets of a notice that are looked at: text and status of about 1,000 recipients."""


class Outcome(StrEnum):
    """What was done with the content."""

    UNCHANGED = "unchanged"
    REDUCED = "reduced"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Decision:
    """`protect`: only over verified TLS. `body`, `content_type`: the new ones, None for as made.

    `reason`: why the notice cannot be read, in words without content; "" if it can.
    """

    outcome: Outcome
    protect: bool = False
    body: bytes | None = None
    content_type: str | None = None
    reason: str = ""


_AS_MADE = Decision(Outcome.UNCHANGED)


def decide(listed: Listed, recipients: Sequence[str], content_type: str, body: bytes) -> Decision:
    """The decision about one notice.

    `recipients`: who gets it (envelope). `content_type`: its header. `body`: of it at least the
    first BODY_LIMIT octets, or all.
    """
    receivers = [listed.receiver(address) for address in recipients]
    if receivers and all(domain in listed.own for domain in receivers):
        return _AS_MADE
    entries = [listed.entry(domain) if domain else None for domain in receivers]
    try:
        report = read_report(content_type, body[:BODY_LIMIT])
        concerned = _concerned(listed, [*receivers, *map(domain_of, report.recipients)])
        if not concerned:
            return _AS_MADE
        new = reduced(report)
    except Exception as fault:  # whatever a hostile notice brings about: nothing of it is shown
        reason = str(fault) if isinstance(fault, Unreadable) else type(fault).__name__
        protect = not entries or not all(entry and entry.enforced for entry in entries)
        return Decision(Outcome.UNREADABLE, protect, UNREADABLE_BODY, UNREADABLE_TYPE, reason)
    protect = not all(_own_policy_is_enough(entry, concerned) for entry in entries)
    return Decision(Outcome.REDUCED, protect, new)


def _concerned(listed: Listed, domains: Sequence[str | None]) -> set[Entry]:
    """The partners' entries that a notice is about. Raises Unreadable."""
    known = [domain for domain in domains if domain is not None]
    if len(known) < len(domains):
        raise Unreadable("an address has no domain")
    return {entry for domain in known if (entry := listed.entry(domain))}


def _own_policy_is_enough(receiver: Entry | None, concerned: set[Entry]) -> bool:
    """Whether the policy of whom the notice goes to is as strict as the message's."""
    if receiver is None:
        return False
    return receiver.enforced or all(entry.partner == receiver.partner for entry in concerned)
