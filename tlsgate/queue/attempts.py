"""Finds the last attempt for each held recipient in Postfix's log, with the lines that explain it.

Postfix logs why an attempt failed in one line (`status=deferred (…)`), and the causes in lines
before it. These come from the same smtp process or, if connections are reused, from the tlsproxy
process that does the TLS; its lines name only the peer. Memory use depends on the size of the
queue, not of the log.

Some words in the log are chosen by the peer: they are shown, but never decide which message a line
belongs to.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from tlsgate.queue.entries import HeldRecipient, domain_of

LINE_LIMIT = 4096
"""Characters; Postfix's own lines are shorter."""
PROCESSES_LIMIT, PEERS_LIMIT = 2_000, 10_000
"""The most recent ones are kept; Postfix has some hundred processes at a time."""
DETAILS_LIMIT, DETAIL_LENGTH = 6, 1000
SUSPENDED = "delivery temporarily suspended: "
"""qmgr(8): not tried, because another message to the same destination failed just before."""

_PROGRAMS = ("/smtp[", "/tlsproxy[", "/error[")
_ENTRY = re.compile(
    r".{0,160}?\bpostfix[\w-]*/(?P<service>[\w/-]{1,80})\[(?P<pid>[0-9]{1,10})\]: (?P<said>.*)"
)
_ADDRESS = r"\[[0-9A-Fa-f.:]+\]:[0-9]+"
_PEER = rf"\S+?(?P<peer>{_ADDRESS})"
_STATUS = re.compile(
    r"(?P<id>\w+): to=<(?P<to>.*?)>, (?:orig_to=<.*?>, )?relay=(?P<relay>[^\s,]+),"
    r" (?:conn_use=[0-9]+, )?delay=[0-9.]+, delays=[0-9./]+, dsn=[0-9.]+,"
    r" status=(?P<status>\w+) \((?P<why>.*)\)"
)
_VERIFICATION = re.compile(rf"(?:\w+ )?certificate verification failed for {_PEER}: .*")
_ESTABLISHED = re.compile(rf"(?P<word>\w+) TLS connection (?:established|reused) to {_PEER}: .*")
_HANDSHAKE = re.compile(
    r"TLS handshake failed for service=\S+ peer=(?P<peer>\[[0-9A-Fa-f.:]+\]:[0-9]+)"
)
_LIBRARY = "warning: TLS library problem: "
_BESIDE = re.compile(r"warning: .*|SSL_connect error to .*|(?:\w+: )?connect to \S+: .*")
"""Lines of an smtp process that explain a failed attempt."""
_SERVER = re.compile(rf"\S+?({_ADDRESS})")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, in Postfix's own words.

    `server`: `host[address]:port`, empty if none was reached. `said`: the reason. `details`: the
    lines before it that explain it, oldest first.
    """

    time: datetime | None
    server: str
    said: str
    details: tuple[str, ...] = ()


@dataclass(slots=True)
class _Process:
    """What one process has logged since its last message."""

    said: deque[str] = field(default_factory=lambda: deque(maxlen=DETAILS_LIMIT))
    finished: tuple[str, str] | None = None
    """The message and domain whose status was logged; later lines are about another one."""
    refusal: tuple[str, str] = ("", "")
    """A peer, and why its certificate was refused."""


class Attempts:
    """Takes the lines of the log, oldest first, each after Docker's time stamp."""

    def __init__(self, held: Iterable[HeldRecipient]) -> None:
        self._wanted: dict[str, set[str]] = {}
        self._domains: set[str] = set()
        for one in held:
            self._wanted.setdefault(one.id, set()).add(one.recipient)
            self._domains.add(one.domain)
        self._last: dict[tuple[str, str], Attempt] = {}
        self._at_domain: dict[str, Attempt] = {}
        self._processes: OrderedDict[tuple[str, str], _Process] = OrderedDict()
        self._peers: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()

    def feed(self, line: str) -> None:
        """Read one line; lines that do not matter are ignored."""
        if not any(program in line for program in _PROGRAMS):
            return
        stamp, _, rest = line[:LINE_LIMIT].partition(" ")
        entry = _ENTRY.match(rest)
        if entry is None:
            return
        service, said = entry["service"], entry["said"].rstrip()
        process = self._process(service, entry["pid"])
        match service.rpartition("/")[2]:
            case "tlsproxy":
                self._follow_tlsproxy(process, said)
            case "smtp" | "error":
                self._follow_delivery(process, said, stamp)

    def of(self, one: HeldRecipient) -> Attempt | None:
        """Return the last attempt, None if it is not in the log.

        If delivery was suspended, or the line is no longer in the log, the details are those of the
        last attempt at the same domain, provided that it failed for the same reason.
        """
        attempt = self._last.get((one.id, one.recipient))
        if (
            attempt is not None
            and attempt.time
            and attempt.time.timestamp() < (one.arrived.timestamp())
        ):
            attempt = None  # of another message that had the same id
        said = attempt.said if attempt else one.said
        if attempt and not said.startswith(SUSPENDED):
            return attempt
        cause = self._at_domain.get(one.domain)
        if cause is None or cause.said != said.removeprefix(SUSPENDED):
            return attempt
        time = attempt.time if attempt else None
        return Attempt(time, cause.server, said, cause.details)

    def _follow_tlsproxy(self, process: _Process, said: str) -> None:
        """Keep what a tlsproxy process logs about a peer, for the smtp process that uses it."""
        if said.startswith(_LIBRARY):
            process.said.append(said[:DETAIL_LENGTH])
            return
        library = tuple(process.said)
        process.said.clear()
        if failed := _HANDSHAKE.match(said):
            self._note((failed["peer"], ""), library or (said,))
        elif refused := _VERIFICATION.match(said):
            process.refusal = (refused["peer"], said)
        elif established := _ESTABLISHED.match(said):
            peer, why = process.refusal
            process.refusal = ("", "")
            if peer == established["peer"]:
                self._note((peer, established["word"]), (why,))

    def _process(self, service: str, pid: str) -> _Process:
        process = self._processes.pop((service, pid), None) or _Process()
        self._processes[service, pid] = process
        if len(self._processes) > PROCESSES_LIMIT:
            self._processes.popitem(last=False)
        return process

    def _note(self, key: tuple[str, str], said: tuple[str, ...]) -> None:
        self._peers.pop(key, None)
        self._peers[key] = said
        if len(self._peers) > PEERS_LIMIT:
            self._peers.popitem(last=False)

    def _follow_delivery(self, process: _Process, said: str, stamp: str) -> None:
        status = _STATUS.match(said)
        subject = (status["id"], domain_of(status["to"])) if status else None
        if process.finished not in (None, subject):
            process.said.clear()
            process.refusal = ("", "")
        process.finished = subject
        if status:
            if status["status"] == "deferred":
                self._take(process, status, stamp)
            return
        if refused := _VERIFICATION.match(said):
            process.refusal = (refused["peer"], said)
        elif established := _ESTABLISHED.match(said):
            peer, why = process.refusal
            process.refusal = ("", "")
            key = (established["peer"], established["word"])
            found = (why,) if peer == established["peer"] else self._peers.get(key, ())
            process.said.extend(found)
        elif _BESIDE.match(said):
            if said.startswith("SSL_connect error"):
                process.said.clear()  # of the servers tried before this one
            process.said.append(said[:DETAIL_LENGTH])

    def _take(self, process: _Process, status: re.Match[str], stamp: str) -> None:
        to, relay, why = status["to"], status["relay"], status["why"]
        domain = domain_of(to)
        wanted = to in self._wanted.get(status["id"], ())
        if not wanted and domain not in self._domains:
            return
        details = list(process.said)
        server = _SERVER.fullmatch(relay)
        if server and "handshake failure" in why:
            details += self._peers.get((server[1], ""), ())
        attempt = Attempt(_time(stamp), relay if server else "", why, tuple(dict.fromkeys(details)))
        if wanted:
            self._last[status["id"], to] = attempt
        if domain in self._domains and not why.startswith(SUSPENDED):
            self._at_domain[domain] = attempt


def _time(stamp: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return time if time.tzinfo else None
