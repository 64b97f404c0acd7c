"""`tlsgate queue`: the mail that the gateway holds, for whom, since when, until when, and why.

The queue comes from Postfix in the gateway's container, the partner list and the times from its
current configuration, and the reason of each attempt from the container's log. The log is read back
for twice `maximal_backoff_time`, in which every held message is tried. If a reason is no longer in
the log, the output says so; it is there again after the next attempt.

JSON (`--json`), one object on stdout; times are ISO 8601 in UTC:

    {"time", "container", "messages": int, "log": {"since", "fault": text or null},
     "groups": [{"partner": name or null, "contact": address or null, "messages": int,
       "entries": [{"domain", "messages": int, "recipients": int, "held": bool,
         "since", "until", "last_attempt": time or null, "next_attempt": time or null,
         "server": "host[address]:port" or null,
         "reason": {"code", "text", "remedy", "whose": "theirs" | "ours", "exact": bool},
         "postfix": [line],
         "mail": [{"id", "queue", "since", "sender", "recipient"}]}]}]}

One entry per domain and reason. `partner` is null for all domains that are not on the partner list.
`held` is false only if no attempt has ended and the message is less than five minutes old. `since`:
when the oldest message arrived; `until`: when the first one would be returned; `next_attempt`: the
earliest time of the next attempt. `whose`: who can do what `remedy` says, the partner's postmaster
(`theirs`) or the operator (`ours`). `exact` is false if the detail is not in the log. `postfix`:
the reason in the queue, then the lines of the log that led to it. `mail` needs `--addresses`.
Subjects and contents are never shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tlsgate.clock import utc_now
from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.containers import UnreachableError, add_options, container, log_lines, output
from tlsgate.commands.network_options import mail_domain
from tlsgate.problems import shown

if TYPE_CHECKING:
    from tlsgate.partners.model import Partner
    from tlsgate.queue.view import Group, QueueTimes

EXIT_UNKNOWN = 2
"""The queue cannot be read, so there is no answer; the same status as wrong usage."""

_EPILOG = """\
examples:
  tlsgate queue                            all held mail, partners first
  tlsgate queue --partner "Acme Motors AG"
  tlsgate queue --domain acme.example --addresses
  tlsgate queue --stack demo --json        for other programs

Times are UTC. `until` is when the message is returned to its sender, if it is still held then.

exit status: 0 no mail to a partner is held; 1 some is; 2 wrong usage, or the queue cannot be read
The JSON format is described at the top of tlsgate/commands/queue.py.
"""
_ACTIVE = "/run/tlsgate/active"
_OTHERS_SHOWN = 10
_SILENCE_SECONDS = 120
_PARAMETERS = ("maximal_backoff_time", "maximal_queue_lifetime", "bounce_queue_lifetime")
_TRIES = 'exec find "$(postconf -h queue_directory)/deferred" -type f -printf "%f %T@\\n"'
"""A deferred message's file has the time of its next attempt (qmgr(8))."""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What was read from the gateway. `log_fault`: why the log could not be read, "" otherwise."""

    container: str
    groups: tuple[Group, ...]
    partners: tuple[Partner, ...]
    now: datetime
    log_since: datetime
    log_fault: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_options(parser, "gateway")
    parser.add_argument("--partner", metavar="NAME", help="only mail to this partner")
    parser.add_argument(
        "--domain",
        metavar="DOMAIN",
        type=mail_domain,
        help="only mail to this domain and its subdomains",
    )
    parser.add_argument(
        "--addresses", action="store_true", help="also show each message's sender and recipients"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help=f"show all mail that is not to partners, not only {_OTHERS_SHOWN} entries",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from tlsgate.queue.text import lines  # noqa: PLC0415  # --help must stay quick
    from tlsgate.queue.view import select, to_dict  # noqa: PLC0415

    try:
        with container(options, "gateway", timeout=_SILENCE_SECONDS) as gateway:
            snapshot = _take_snapshot(gateway)
        partner = _named(options.partner, snapshot.partners)
    except (UnreachableError, ValueError) as fault:
        print(fault, file=sys.stderr)
        return EXIT_UNKNOWN
    groups = select(snapshot.groups, partner, options.domain or "")
    if options.json:
        said: dict[str, Any] = {
            "time": _stamp(snapshot.now),
            "container": snapshot.container,
            "messages": sum(group.messages for group in groups),
            "log": {"since": _stamp(snapshot.log_since), "fault": snapshot.log_fault or None},
            "groups": to_dict(groups, snapshot.now, addresses=options.addresses),
        }
        print(json.dumps(said, indent=2))
    else:
        if snapshot.log_fault:
            print(f"note: {snapshot.log_fault}", file=sys.stderr)
        others = None if options.all else _OTHERS_SHOWN
        for line in lines(groups, snapshot.now, addresses=options.addresses, others=others):
            print(line)
    held = any(
        entry.is_held(snapshot.now) for group in groups if group.partner for entry in group.entries
    )
    return EXIT_PROBLEMS if held else EXIT_OK


def _take_snapshot(gateway: Any) -> _Snapshot:
    """Read queue, list and log from the container. Raises UnreachableError, ValueError."""
    from tlsgate.queue.attempts import Attempts  # noqa: PLC0415
    from tlsgate.queue.entries import read_queue  # noqa: PLC0415
    from tlsgate.queue.view import Partners, group_held  # noqa: PLC0415

    now = utc_now()
    retry, times = _times(gateway, now)
    partners = _partners(gateway)
    held = list(read_queue(output(gateway, ["postqueue", "-j"]).split("\n")))
    attempts = Attempts(held)
    since = now - 2 * retry
    fault = _read_log(gateway, since, attempts) if held else ""
    groups = group_held(held, attempts, Partners(partners), times)
    return _Snapshot(gateway.name, groups, partners, now, since, fault)


def _times(gateway: Any, now: datetime) -> tuple[timedelta, QueueTimes]:
    """The longest time between two attempts, and the other times beside the queue."""
    from tlsgate.queue.entries import read_tries, seconds  # noqa: PLC0415
    from tlsgate.queue.view import QueueTimes  # noqa: PLC0415

    said = output(gateway, ["postconf", "-h", *_PARAMETERS]).splitlines()
    if len(said) != len(_PARAMETERS):
        raise ValueError(f"postconf in the container {gateway.name} does not print {_PARAMETERS}")
    retry, lifetime, notices = (timedelta(seconds=seconds(one)) for one in said)
    tries = read_tries(output(gateway, ["sh", "-c", _TRIES]).splitlines())
    return retry, QueueTimes(now, lifetime, notices, tries)


def _partners(gateway: Any) -> tuple[Partner, ...]:
    """Return the list that the gateway uses now."""
    from tlsgate.partners.format import LIST_FILE  # noqa: PLC0415
    from tlsgate.partners.model import partner_from_dict  # noqa: PLC0415

    text = output(gateway, ["cat", f"{_ACTIVE}/{LIST_FILE}"])
    try:
        return tuple(partner_from_dict(record) for record in json.loads(text))
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{_ACTIVE}/{LIST_FILE} in the container {gateway.name} is not a partner list of this"
            " version. Run the command of the version that deployed it, or `pulumi up`."
        ) from None


def _read_log(gateway: Any, since: datetime, attempts: Any) -> str:
    """Read the container's log since a time; return why it cannot be read, "" if it can."""
    try:
        for line in log_lines(gateway, since):
            attempts.feed(line)
    except OSError as fault:  # the engine's errors too; the queue is shown without the log
        return f"the container's log cannot be read, so the reasons have no detail: {fault}"
    return ""


def _named(name: str | None, partners: Sequence[Partner]) -> str:
    """Return the partner's name as in the list; "" if no name is given. Raises ValueError."""
    if name is None:
        return ""
    wanted = name.casefold()
    for one in partners:
        if one.name.casefold() == wanted:
            return one.name
    near = [one.name for one in partners if wanted in one.name.casefold()][:5]
    hint = (
        f" Did you mean {' or '.join(map(shown, near))}?"
        if near
        else " See `tlsgate partners list`."
    )
    raise ValueError(f"There is no partner {shown(name)} in the gateway's list.{hint}")


def _stamp(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
