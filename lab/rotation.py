"""Renewals and key changes while the gateway works: starts them, and observes the effects.

`tlsgate certificates` sends the requests to the agent. Everything is observed from outside: the
certificate at port 25, the records at the authoritative server, and sessions that stay open.
"""

from __future__ import annotations

import io
import json
import smtplib
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dns.message
import dns.query

from lab import files, plan
from lab.bring_up import ROOTS
from lab.commands import GATEWAY, LabError
from lab.endpoints import LOOPBACK, endpoints
from tlsgate.acme.certificate import facts
from tlsgate.acme.config.agent_json import Probe
from tlsgate.acme.gateway.tls_probe import served_certificate
from tlsgate.acme.rollover.tlsa_records import value
from tlsgate.cli import main

OWNER = f"_25._tcp.{plan.GATEWAY_HOST}"
PROBE = Probe(plan.GATEWAY_ADDRESS, 25, starttls=True)
SECONDS = 120.0
SESSIONS = 4
ENDPOINT = (LOOPBACK, endpoints()["gateway"]["smtp"]["port"])
"""Address and port of the gateway's port 25 on this machine."""
PAUSE = 0.1


def ask(*arguments: str) -> str:
    """Run `tlsgate certificates …` for the demo's stack; return what it prints."""
    said = io.StringIO()
    with redirect_stdout(said):
        code = main(["certificates", "--stack", GATEWAY.name, *arguments])
    if code != 0:
        raise LabError(f"`tlsgate certificates {' '.join(arguments)}` ended with {code}")
    return said.getvalue()


def status(name: str = plan.GATEWAY_HOST) -> dict[str, Any]:
    """The agent's status of a certificate."""
    entries = json.loads(ask("status", "--json"))["certificates"]
    found: dict[str, Any] = next(entry for entry in entries if entry["name"] == name)
    return found


def shown_pem() -> str:
    """The certificate that the gateway presents at port 25."""
    return ssl.DER_cert_to_PEM_cert(served_certificate(PROBE, plan.GATEWAY_HOST))


def key_of(pem: str) -> str:
    """The SPKI digest of a certificate."""
    return facts(pem.encode()).spki_sha256


def serial_of(pem: str) -> str:
    """The serial number of a certificate, in hex."""
    return facts(pem.encode()).serial


def lost_by_pebble(serial: str) -> bool:
    """Whether Pebble finds no certificate of this serial number, in hex, by its CertID (RFC 9773,
    section 4.1): in DER it begins with a zero octet, which Pebble leaves out. That is one of 256.
    """
    return int(serial, 16).bit_length() % 8 == 0


def renew() -> tuple[str, float]:
    """Renew the MX certificate; return the new serial and the seconds until it was presented."""
    before = serial_of(shown_pem())
    begun = time.monotonic()
    ask("renew", plan.GATEWAY_HOST)
    _until(lambda: serial_of(shown_pem()) != before, "new certificate at port 25")
    seconds = time.monotonic() - begun
    _until(lambda: _settled(before), "end of the renewal")
    return serial_of(shown_pem()), seconds


def rotate(name: str = plan.GATEWAY_HOST) -> tuple[str, float]:
    """Do a complete key roll-over; return the new key and the seconds that it took."""
    before = status(name)["served"]["spki_sha256"]
    begun = time.monotonic()
    ask("rotate", name)

    def done() -> bool:
        entry = status(name)
        return entry["served"]["spki_sha256"] != before and entry["rollover"] is None

    _until(done, f"other key of {name}")
    return status(name)["served"]["spki_sha256"], time.monotonic() - begun


def demonstrate() -> str:
    """Renew the certificate because the CA asks for it, and change the policy host's key.

    Returns a summary. Raises LabError if a session broke, or if the certificate is not as expected.
    """
    while lost_by_pebble(serial_of(shown_pem())):
        renew()
    before = shown_pem()
    sessions = OpenSessions(ENDPOINT, SESSIONS)
    begun = time.monotonic()
    want_renewal_now(before)
    _until(lambda: shown_pem() != before, "new certificate at port 25")
    seconds, after = time.monotonic() - begun, shown_pem()
    if broken := [*sessions.broken(), *sessions.finish()]:
        raise LabError(f"sessions that were open across the renewal broke: {broken}")
    if key_of(before) != key_of(after):
        raise LabError("the renewal changed the key")
    rotate("policy-1")
    return (
        f"serial …{serial_of(before)[-6:]} → …{serial_of(after)[-6:]} at port 25 after"
        f" {seconds:.1f} s, same key; {SESSIONS} open sessions sent their message;"
        " the policy host has another key"
    )


def want_renewal_now(pem: str) -> None:
    """Move the CA's renewal window (RFC 9773) into the past, and make the agent check it."""
    start = datetime.now(UTC) - timedelta(hours=2)
    window = {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()}
    request = {"Certificate": pem, "ARIResponse": json.dumps({"suggestedWindow": window})}
    url = f"https://{LOOPBACK}:{plan.ACME_MANAGEMENT_PORT}/set-renewal-info/"
    context = ssl.create_default_context(cafile=str(files.PKI / "pebble-ca.pem"))
    body = json.dumps(request).encode()
    with urllib.request.urlopen(url, data=body, context=context, timeout=10):
        ask("look", plan.GATEWAY_HOST)


def records() -> frozenset[str]:
    """The TLSA records of the MX host at the authoritative server."""
    question = dns.message.make_query(OWNER, "TLSA")
    answer = dns.query.tcp(question, plan.DNS_ADDRESS, timeout=5)
    return frozenset(rdata.to_text() for rrset in answer.answer for rdata in rrset)


@dataclass
class Watch:
    """The history of the TLSA records: each set, with the time at which it appeared."""

    sets: list[tuple[float, frozenset[str]]]

    def locked_out(self, at: float, pem: str, ttl: float) -> str:
        """Why a peer with a DNS cache up to `ttl` seconds old refuses this certificate; or ""."""
        key = value(key_of(pem))
        for index, (since, found) in enumerate(self.sets):
            end = self.sets[index + 1][0] if index + 1 < len(self.sets) else None
            could_be_cached = since <= at and (end is None or end >= at - ttl)
            if could_be_cached and key not in found:
                return f"{at:.1f}: {key} is not among {sorted(found)}"
        return ""


@contextmanager
def watching() -> Iterator[Watch]:
    """Read the records ten times per second during the block."""
    watch, end = Watch([(time.time(), records())]), threading.Event()

    def run() -> None:
        while not end.wait(PAUSE):
            found = records()
            if found != watch.sets[-1][1]:
                watch.sets.append((time.time(), found))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield watch
    finally:
        end.set()
        thread.join()


class OpenSessions:
    """Open TLS sessions, each in the middle of a message."""

    def __init__(self, at: tuple[str, int], count: int) -> None:
        self._at = at
        self._sessions = [self._open() for _ in range(count)]

    def broken(self) -> list[str]:
        """Send NOOP in each session; return the errors of those that failed."""
        return [fault for one in self._sessions if (fault := _error(one.noop))]

    def finish(self) -> list[str]:
        """Complete each message and quit; return the errors of those that failed."""
        return [fault for one in self._sessions if (fault := _error(_finish(one)))]

    def _open(self) -> smtplib.SMTP:
        session = smtplib.SMTP(timeout=30, local_hostname="held.example")
        session._host = plan.GATEWAY_HOST  # type: ignore[attr-defined]  # the certificate's name
        session.connect(*self._at)
        session.starttls(context=ssl.create_default_context(cafile=str(ROOTS)))
        session.ehlo()
        session.mail(f"held@{plan.STRANGER}")
        session.rcpt(f"held@{plan.ORGANISATION_ZONES[0]}")
        return session


def _finish(session: smtplib.SMTP) -> Callable[[], tuple[int, bytes]]:
    def run() -> tuple[int, bytes]:
        answer = session.data(b"Subject: held\r\n\r\nthe other half\r\n")
        session.quit()
        return answer

    return run


def _error(act: Callable[[], tuple[int, bytes]]) -> str:
    try:
        code, text = act()
    except (smtplib.SMTPException, OSError) as fault:
        return repr(fault)
    return "" if code == 250 else f"{code} {text.decode(errors='replace')}"


def _settled(before: str) -> bool:
    entry = status()
    return entry["served"]["serial"] != before and entry["failure"] is None


def _until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not look():
        if time.monotonic() > deadline:
            raise LabError(f"after {SECONDS:.0f} s there is still no {what}")
        time.sleep(PAUSE)


def all_faults(watch: Watch, made: Sequence[tuple[float, str]], ttl: float) -> list[str]:
    """For sessions (time, certificate as PEM): the failures of peers with an old DNS cache."""
    return [fault for at, pem in made if (fault := watch.locked_out(at, pem, ttl))]
