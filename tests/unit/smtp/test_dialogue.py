"""The dialogue with servers that are slow, talkative, hostile or broken: it ends, in bounds."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.support.loopback import serves_on_loopback
from tests.unit.probe.probe_pki import issue
from tests.unit.probe.probe_servers import Handler, Script, serving
from tlsgate.smtp import wire
from tlsgate.smtp.dialogue import Fault, Limits, Session, talk
from tlsgate.smtp.offers import Contexts, Offer
from tlsgate.smtp.requirement import Terms

pytestmark = serves_on_loopback

CA = issue(("Test CA",), ca=True)
GOOD = issue(("mx.d.example",), CA)
CONTEXTS = Contexts(CA.pem)
STRICT, LENIENT = Offer(Terms.STRONG, verified=True), Offer(Terms.ANY)


def session(handler: Handler, offer: Offer = STRICT, seconds: float = 5.0) -> Session:
    with serving({"127.0.0.1": handler}) as port:
        limits = Limits(port, "probe.example", seconds, seconds)
        return asyncio.run(talk("127.0.0.1", CONTEXTS.of(offer), offer.sni, limits))


def test_a_good_server_shows_all_and_gets_no_message() -> None:
    server = Script(GOOD.context())
    seen = session(server.serve)
    assert (seen.fault, seen.version, seen.chain) == (None, "TLSv1.3", (GOOD.der,))
    assert seen.cipher
    assert server.seen == [["EHLO probe.example", "STARTTLS", "EHLO probe.example", "QUIT"]]


def test_an_untrusted_chain_is_named_by_openssl_and_shown_to_the_lenient_offer() -> None:
    server = Script(issue(("mx.d.example",)).context())
    refused = session(server.serve)
    assert (refused.fault, refused.code, refused.chain) == (Fault.UNTRUSTED, 18, ())
    assert len(session(server.serve, LENIENT).chain) == 1


def test_the_server_name_is_sent_only_if_it_is_given() -> None:
    names: list[str | None] = []
    context = GOOD.context()
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    for offer in (STRICT, replace(STRICT, sni="mx.d.example")):
        session(Script(context).serve, offer)
    assert names == [None, "mx.d.example"]


def test_old_tls_fails_the_strict_offer_alone() -> None:
    context = GOOD.context(ssl.TLSVersion.TLSv1_1)
    assert session(Script(context).serve).fault is Fault.HANDSHAKE
    seen = session(Script(context).serve, LENIENT)
    assert (seen.fault, seen.version) == (None, "TLSv1.1")


@pytest.mark.parametrize(
    ("script", "fault", "detail"),
    [
        (Script(greeting=b"554 go away\r\n"), Fault.REFUSED, "554 go away"),
        (Script(greeting=b"421-later\r\n421 please\r\n"), Fault.REFUSED, "421 later"),
        (Script(), Fault.NO_STARTTLS, "STARTTLS is not among the extensions offered"),
        (
            Script(ehlo=b"502 what\r\n"),
            Fault.NO_STARTTLS,
            "STARTTLS is not among the extensions offered",
        ),
        (Script(ehlo=b"502 what\r\n", helo=b"550 no\r\n"), Fault.REJECTED, "550 no"),
        (Script(ehlo=b"502 what\r\n", helo=b"450 no\r\n"), Fault.REFUSED, "450 no"),
        (
            Script(GOOD.context(), starttls=b"454 no TLS today\r\n"),
            Fault.STARTTLS_REFUSED,
            "454 no TLS today",
        ),
        (
            Script(GOOD.context(), ehlo_under_tls=b"530 who are you\r\n"),
            Fault.AFTER_TLS,
            "530 who are you",
        ),
        # CVE-2011-0411, seen from the client: what came in the clear must not be read under TLS.
        (
            Script(GOOD.context(), behind_starttls=b"250 injected\r\n"),
            Fault.INJECTED,
            "text in the clear follows the answer to STARTTLS",
        ),
        (Script(greeting=b"hello\r\n"), Fault.PROTOCOL, "the answer is not an SMTP reply"),
        (Script(greeting=b"\0\xff\r\n"), Fault.PROTOCOL, "the answer is not an SMTP reply"),
        (
            Script(greeting=b"220-a\r\n250 b\r\n"),
            Fault.PROTOCOL,
            "the answer is not an SMTP reply",
        ),
        (
            Script(greeting=b"220-more\r\n" * 1000),
            Fault.PROTOCOL,
            "a reply has more than 128 lines",
        ),
        (
            Script(greeting=b"220 " + b"x" * 3000 + b"\r\n"),
            Fault.PROTOCOL,
            "a line is longer than 2048 octets",
        ),
        # What is printed later cannot hide or colour anything.
        (Script(greeting=b"554 \x1b[31mred\x07\r\n"), Fault.REFUSED, r"554 \x1b[31mred\x07"),
    ],
)
def test_what_a_server_answers(script: Script, fault: Fault, detail: str) -> None:
    seen = session(script.serve)
    assert (seen.fault, seen.detail) == (fault, detail)


def test_the_words_of_a_server_are_kept_short() -> None:
    assert len(session(Script(greeting=b"554 " + b"x" * 2000 + b"\r\n").serve).detail) <= 160


def _endless(client: socket.socket) -> None:
    while True:
        client.sendall(b"x" * 65536)


def _endless_lines(client: socket.socket) -> None:
    while True:
        client.sendall(b"220-still here\r\n")


def _drip(client: socket.socket) -> None:
    while True:
        client.sendall(b"2")
        time.sleep(0.05)


def _silent(client: socket.socket) -> None:
    client.recv(1)


def _hang_up(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_RDWR)


def _to_starttls(client: socket.socket) -> None:
    client.sendall(b"220 hello\r\n")
    client.recv(1000)
    client.sendall(b"250-me\r\n250 STARTTLS\r\n")
    client.recv(1000)
    client.sendall(b"220 go\r\n")


def _stall_in_tls(client: socket.socket) -> None:
    _to_starttls(client)
    while client.recv(1000):
        pass


def _garbage_in_tls(client: socket.socket) -> None:
    _to_starttls(client)
    client.recv(1000)
    client.sendall(b"\x16\x03\x03garbage" * 1000)


def _endless_handshake(client: socket.socket) -> None:
    """TLS records that say that a message of 16 MB is under way."""
    _to_starttls(client)
    client.recv(1000)
    head = b"\x02\xff\xff\xff"
    while True:
        client.sendall(b"\x16\x03\x03" + (1024).to_bytes(2, "big") + head + b"x" * 1020)
        head = b"xxxx"


def _endless_under_tls(client: socket.socket) -> None:
    _to_starttls(client)
    with GOOD.context().wrap_socket(client, server_side=True) as secured:
        while True:
            secured.sendall(b"250-x\r\n" * 100)


@pytest.mark.parametrize(
    ("handler", "fault", "detail"),
    [
        (_endless, Fault.PROTOCOL, "a line is longer than 2048 octets"),
        (_endless_lines, Fault.PROTOCOL, "a reply has more than 128 lines"),
        (_endless_under_tls, Fault.AFTER_TLS, "a reply has more than 128 lines"),
        (_drip, Fault.SLOW, "greeting not finished within 0.5 s"),
        (_silent, Fault.SLOW, "greeting not finished within 0.5 s"),
        (_stall_in_tls, Fault.SLOW, "TLS handshake not finished within 0.5 s"),
        (_hang_up, Fault.CLOSED, "the server closed the connection"),
    ],
)
def test_hostile_servers_are_left(handler: Handler, fault: Fault, detail: str) -> None:
    seen = session(handler, seconds=0.5)
    assert (seen.fault, seen.detail) == (fault, detail)


@pytest.mark.parametrize("handler", [_garbage_in_tls, _endless_handshake])
def test_garbage_in_the_handshake_is_a_failed_handshake(handler: Handler) -> None:
    assert session(handler).fault is Fault.HANDSHAKE


def test_without_a_name_the_own_address_is_given() -> None:
    server = Script()
    with serving({"127.0.0.1": server.serve}) as port:
        asyncio.run(talk("127.0.0.1", CONTEXTS.of(STRICT), "", Limits(port)))
    assert server.seen == [["EHLO [127.0.0.1]"]]


def test_a_machine_without_ipv6_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "no")

    kinds = {name: getattr(socket, name) for name in ("AF_INET", "AF_INET6", "SOCK_STREAM")}
    monkeypatch.setattr("tlsgate.smtp.dialogue.socket", SimpleNamespace(socket=refuse, **kinds))
    seen = asyncio.run(talk("2001:db8::1", CONTEXTS.of(STRICT), "", Limits()))
    assert seen.fault is Fault.UNREACHABLE
    assert seen.detail == "Address family not supported by protocol"


def test_all_that_a_session_brings_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "RECEIVED_LIMIT", 300)
    seen = session(Script(GOOD.context()).serve)
    assert (seen.fault, seen.detail) == (Fault.HANDSHAKE, "more than 300 octets received")


def test_no_server_is_unreachable() -> None:
    with serving({}) as port:
        seen = asyncio.run(talk("127.0.0.1", CONTEXTS.of(STRICT), "", Limits(port)))
    assert (seen.fault, seen.detail) == (Fault.UNREACHABLE, "Connection refused")
