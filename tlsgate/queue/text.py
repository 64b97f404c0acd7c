"""Held mail as text for a terminal. Everything that a peer wrote is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from tlsgate.problems import visible
from tlsgate.queue.reasons import WAITING
from tlsgate.queue.view import Group, HeldMail, stamp

_LINE = 300
"""How many characters of a line of Postfix are shown."""
_MAIL_SHOWN = 20


def lines(
    groups: Sequence[Group], now: datetime, *, addresses: bool, others: int | None
) -> Iterator[str]:
    """Yield the lines. `others`: how many entries of other domains are shown, None for all."""
    yield _total(groups)
    for group in groups:
        yield ""
        count = _count(group.messages, "message")
        if group.partner is None:
            yield f"Not on the partner list: {count}"
        else:
            partner = group.partner
            yield f"{_shown(partner.name)} ({_shown(partner.contact)}): {count}"
        shown = group.entries if group.partner or others is None else group.entries[:others]
        for entry in shown:
            yield from _entry(entry, group, now, addresses=addresses)
        left = len(group.entries) - len(shown)
        if left:
            yield f"  and {_count(left, 'more line')} like these: --all shows them"


def _total(groups: Sequence[Group]) -> str:
    partners = [group for group in groups if group.partner]
    others = sum(group.messages for group in groups if group.partner is None)
    if not groups:
        return "No message is waiting."
    to_partners = sum(group.messages for group in partners)
    return (
        f"{_count(to_partners, 'message')} to {_count(len(partners), 'partner')}"
        f" and {others} to others are waiting."
    )


def _entry(entry: HeldMail, group: Group, now: datetime, *, addresses: bool) -> Iterator[str]:
    reason = entry.why.reason
    yield f"  {_shown(entry.domain or 'no domain')}: {_count(len(entry.messages), 'message')}"
    yield f"    since     {_when(entry.since, now)}"
    yield f"    until     {_when(entry.until, now)}: then it is returned to its sender"
    if entry.last:
        yield f"    tried     {_when(entry.last, now)}"
    following = _following(entry, now)
    if following:
        yield f"    next try  {following}"
    yield f"    reason    {_shown(reason.text)} [{reason.code}]"
    if not entry.why.exact:
        again = f" ({following})" if following else ""
        yield f"    detail    no longer in the log: known after the next attempt{again}"
    for number, said in enumerate(entry.postfix):
        yield f"    {'Postfix   ' if number == 0 else '          '}{_shown(said)}"
    whom = "" if entry.why.ours else f"ask {_contact(group, entry)} to "
    yield f"    to do     {whom}{_shown(reason.remedy)}"
    if addresses:
        for one in entry.addresses[:_MAIL_SHOWN]:
            sender, to = _shown(one.sender or "<>"), _shown(one.recipient)
            yield f"    mail      {_shown(one.id)} {stamp(one.arrived)} {sender} to {to}"
        left = len(entry.addresses) - _MAIL_SHOWN
        if left > 0:
            yield f"              and {left} more: --json has them all"


def _following(entry: HeldMail, now: datetime) -> str:
    if entry.next is None or entry.why.reason.code == WAITING:
        return ""
    return f"not before {_when(entry.next, now)}" if entry.next > now else "due now"


def _contact(group: Group, entry: HeldMail) -> str:
    return _shown(group.partner.contact if group.partner else f"postmaster@{entry.domain}")


def _when(time: datetime, now: datetime) -> str:
    """`2026-11-27T16:51:31Z (2 h ago)`."""
    return f"{stamp(time)} ({relative(time - now)})"


def relative(delta: timedelta) -> str:
    """Return a time relative to now in its two largest units: `in 4 d 23 h`, `2 h 5 min ago`."""
    left = abs(round(delta.total_seconds()))
    if left == 0:
        return "now"
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next(number for number, (count, _) in enumerate(parts) if count)
    text = " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)
    return f"in {text}" if delta > timedelta() else f"{text} ago"


def _shown(text: str) -> str:
    cut = text if len(text) <= _LINE else text[: _LINE - 1] + "…"
    return visible(cut)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
