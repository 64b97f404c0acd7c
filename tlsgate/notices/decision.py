"""How a notice is changed and sent (D20). Pure.

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

from tlsgate.notices.domain_list import DomainList, PartnerDomain, domain_of
from tlsgate.notices.report import (
    UNREADABLE_BODY,
    UNREADABLE_TYPE,
    Unreadable,
    read_report,
    reduced,
)

BODY_LIMIT = 512 * 1024
"""Octets of a notice that are looked at: text and status of about 1,000 recipients."""


class ContentChange(StrEnum):
    """What was done with the content."""

    UNCHANGED = "unchanged"
    REDUCED = "reduced"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Decision:
    """`protect`: only over verified TLS. `body`, `content_type`: the new ones, None for as made.

    `reason`: why the notice cannot be read, in words without content; "" if it can.
    """

    outcome: ContentChange
    protect: bool = False
    body: bytes | None = None
    content_type: str | None = None
    reason: str = ""


_AS_MADE = Decision(ContentChange.UNCHANGED)


def decide(
    domain_list: DomainList, recipients: Sequence[str], content_type: str, body: bytes
) -> Decision:
    """The decision about one notice.

    `recipients`: who gets it (envelope). `content_type`: its header. `body`: of it at least the
    first BODY_LIMIT octets, or all.
    """
    receivers = [domain_list.receiver(address) for address in recipients]
    if receivers and all(domain in domain_list.own for domain in receivers):
        return _AS_MADE
    entries = [domain_list.entry(domain) if domain else None for domain in receivers]
    try:
        report = read_report(content_type, body[:BODY_LIMIT])
        concerned = _concerned(domain_list, [*receivers, *map(domain_of, report.recipients)])
        if not concerned:
            return _AS_MADE
        new = reduced(report)
    except Exception as fault:  # whatever a hostile notice causes, nothing of it is shown
        reason = str(fault) if isinstance(fault, Unreadable) else type(fault).__name__
        protect = not entries or not all(entry and entry.enforced for entry in entries)
        return Decision(ContentChange.UNREADABLE, protect, UNREADABLE_BODY, UNREADABLE_TYPE, reason)
    protect = not all(_own_policy_is_enough(entry, concerned) for entry in entries)
    return Decision(ContentChange.REDUCED, protect, new)


def _concerned(domain_list: DomainList, domains: Sequence[str | None]) -> set[PartnerDomain]:
    """The partners' entries that a notice is about. Raises Unreadable."""
    known = [domain for domain in domains if domain is not None]
    if len(known) < len(domains):
        raise Unreadable("an address has no domain")
    return {entry for domain in known if (entry := domain_list.entry(domain))}


def _own_policy_is_enough(receiver: PartnerDomain | None, concerned: set[PartnerDomain]) -> bool:
    """Whether the policy of whom the notice goes to is as strict as the message's."""
    if receiver is None:
        return False
    return receiver.enforced or all(entry.partner == receiver.partner for entry in concerned)
