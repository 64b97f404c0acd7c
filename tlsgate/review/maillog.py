"""Reads from the gateway's mail log which messages were delivered, and over which TLS.

Postfix logs the TLS of a session in one line and the message in another; both have the process id.
For `smtp[12]`, the line of a session comes before its deliveries, and a reused session has its own
line. For `smtpd[34]`, it comes after `connect from`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

LINE_LIMIT = 4096
"""Characters; Postfix's own lines are shorter."""
KNOWN_LIMIT = 100_000
"""Messages whose sender is not known yet."""

OUTBOUND = frozenset({"smtp", "partner/smtp", "partner-dated/smtp", "null-sender/smtp"})
"""The services that send to peers (tlsgate.render.postfix_transports)."""

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_ENTRY = re.compile(
    r"(?P<head>.{0,120}?)\bpostfix[\w-]*/(?P<service>[\w/-]+)\[(?P<pid>\d+)\]: (?P<said>.*)"
)
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d")
_TRADITIONAL = re.compile(r"\b([A-Z][a-z]{2}) +(\d{1,2}) \d\d:\d\d:\d\d\b")
_TLS = re.compile(
    r"(?P<word>Anonymous|Untrusted|Trusted|Verified) TLS connection (?:established|reused)"
    r" (?P<way>to|from) (?P<peer>\S+\[[\w.:]+\](?::\d+)?): (?P<version>\S+) with cipher"
    r" (?P<suite>\S+)"
)
_DELIVERY = re.compile(
    r"(?P<id>\w+): to=<(?P<to>[^>]*)>,.*? relay=(?P<relay>\S+\[[\w.:]+\]:\d+),"
    r" (?:\w+=[^ ,]+, )*status=(?P<status>\w+)"
)
_CLIENT = re.compile(r"(?P<id>\w+): client=\S*\[(?P<address>[\w.:]+)\]")
_FROM = re.compile(r"(?P<id>\w+): from=<(?P<sender>[^>]*)>")


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS of a session, in the log's words."""

    word: str
    """Anonymous, Untrusted, Trusted (the chain) or Verified (the policy too)."""
    version: str
    """`TLSv1.3`."""
    suite: str
    """OpenSSL's name of it: `ECDHE-RSA-AES128-SHA256`."""

    @classmethod
    def of(cls, found: re.Match[str]) -> Tls:
        """Return the TLS in a line of the log."""
        return cls(found["word"], found["version"], found["suite"])


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that another server accepted; `tls` is None for plaintext."""

    day: date | None
    domain: str
    tls: Tls | None


@dataclass(frozen=True, slots=True)
class Received:
    """A message that the gateway accepted; `domain` is "" for the null sender."""

    day: date | None
    domain: str
    address: str
    tls: Tls | None


@dataclass(slots=True)
class _Session:
    """The current session of one process: its peer, the TLS, and the message sent over it."""

    peer: str = ""
    tls: Tls | None = None
    message: str = ""


def read_log(lines: Iterable[str], today: date) -> Iterator[Sent | Received]:
    """Yield the messages of a log in order; other lines are ignored.

    `today` decides the year if the log has none.
    """
    sessions: dict[tuple[str, str], _Session] = {}
    clients: dict[str, tuple[str, Tls | None]] = {}
    for line in lines:
        entry = _ENTRY.match(line[:LINE_LIMIT])
        if entry is None:
            continue
        service, said = entry["service"], entry["said"]
        session = sessions.setdefault((service, entry["pid"]), _Session())
        if service in OUTBOUND:
            sent = _sent(session, said)
            if sent is not None:
                yield Sent(_day(entry["head"], today), *sent)
        elif service == "smtpd":
            _follow_client(session, said, clients)
        elif service == "qmgr" and (taken := _FROM.match(said)) and taken["id"] in clients:
            address, tls = clients.pop(taken["id"])
            yield Received(_day(entry["head"], today), _domain(taken["sender"]), address, tls)


def _sent(session: _Session, said: str) -> tuple[str, Tls | None] | None:
    """Follow the lines of an smtp process; return domain and TLS of a delivered message."""
    if tls := _TLS.match(said):
        session.peer, session.tls = tls["peer"], Tls.of(tls)
        session.message = ""
        return None
    delivery = _DELIVERY.match(said)
    if delivery is None:
        return None
    if session.peer != delivery["relay"] or session.message not in ("", delivery["id"]):
        session.tls = None  # another session, without a TLS line
    session.peer, session.message = delivery["relay"], delivery["id"]
    return (_domain(delivery["to"]), session.tls) if delivery["status"] == "sent" else None


def _follow_client(
    session: _Session, said: str, clients: dict[str, tuple[str, Tls | None]]
) -> None:
    if said.startswith(("connect from ", "disconnect from ")):
        session.tls = None
    elif tls := _TLS.match(said):
        session.tls = Tls.of(tls)
    elif client := _CLIENT.match(said):
        if len(clients) >= KNOWN_LIMIT:  # the oldest was refused before it was queued
            del clients[next(iter(clients))]
        clients[client["id"]] = (client["address"], session.tls)


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower().rstrip(".")


def _day(head: str, today: date) -> date | None:
    """Return a line's day; in a log without years, the last such day that is not in the future."""
    if iso := _ISO.search(head):
        try:
            return date.fromisoformat(iso[1])
        except ValueError:
            return None
    found = _TRADITIONAL.search(head)
    if found is None or found[1] not in _MONTHS:
        return None
    for year in (today.year, today.year - 1):
        try:
            day = date(year, _MONTHS.index(found[1]) + 1, int(found[2]))
        except ValueError:
            continue
        if day <= today:
            return day
    return None
