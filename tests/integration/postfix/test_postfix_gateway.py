"""The gateway's policy on the real Postfix: outbound, inbound, relaying, malformed input."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, World, partner, until
from tlsgate.partners.model import Inbound, Outbound, Require, Verify

pytestmark = pytest.mark.integration

HELD_BY_NAME = "Server certificate not verified"


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> Iterator[None]:
    """Started with partners of every kind."""
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    networks = Inbound(Require.NETWORK, networks=(world.subnet(),))
    world.deliver(
        [
            partner("one"),
            partner("two"),
            partner("strange"),
            partner("old"),
            partner("plain"),
            partner("strict", outbound=Outbound(mx=(".other.example",))),
            partner("pinned", outbound=Outbound(Verify.PIN, public_keys=("ab" * 32,))),
            partner("exact", subdomains=False),
            partner("network", inbound=networks),
        ],
        message_size=100_000,
    )
    world.start_gateway()
    yield


class Case(NamedTuple):
    """Mail to a domain: `tls` is the TLS version at the peer, None if nothing arrived."""

    domain: str
    peer: str
    tls: str | None
    text: str = "250"


OUTBOUND = [
    Case("one.example", "shared", "TLSv1.3"),
    Case("free.example", "shared", "TLSv1.3"),
    Case("loose.example", "strange", "TLSv1.3"),
    Case("oldfree.example", "old", "TLSv1"),
    Case("plainfree.example", "plain", ""),
    Case("corp.example", "internal", "TLSv1.3"),
    Case("two.example", "shared", None, HELD_BY_NAME),
    Case("strict.example", "shared", None, HELD_BY_NAME),
    Case("pinned.example", "shared", None, HELD_BY_NAME),
    Case("sub.one.example", "shared", None, HELD_BY_NAME),
    Case("sts.example", "shared", None, HELD_BY_NAME),
    Case("strange.example", "strange", None, HELD_BY_NAME),
    Case("old.example", "old", None, "handshake failure"),
    Case("plain.example", "plain", None, "TLS is required, but was not offered"),
]


@pytest.mark.parametrize("headers", ["", "TLS-Required: no\r\n"])
@pytest.mark.parametrize("case", OUTBOUND, ids=lambda case: case.domain)
def test_outbound(world: World, case: Case, headers: str) -> None:
    recipient = f"{'plain' if headers else 'tls'}-required@{case.domain}"
    world.send(recipient, headers=headers)
    outcome = world.outcome(recipient)
    assert outcome.status == ("deferred" if case.tls is None else "sent"), outcome
    assert case.text in outcome.text
    arrived = [mail["tls"] for mail in world.received(case.peer) if recipient in mail["mail"]]
    assert arrived == ([] if case.tls is None else [case.tls])


def test_held_mail_is_listed_with_its_reason(world: World) -> None:
    world.send("queue@plain.example")
    world.outcome("queue@plain.example")
    _, queue = world.run("postqueue", "-j")
    assert "TLS is required, but was not offered by host mx.plain.example" in queue


TRICKS = [
    "u@STRANGE.Example",
    "u@strange.example.",
    "u%strange.example@corp.example",
    "strange.example!u",
    "strange.example!u@corp.example",
    "@free.example:u@strange.example",
    '"u@strange.example"',
    '"u@strange.example"@corp.example',
    '"u%strange.example"@corp.example',
    "u@strange.example@free.example",
    "u@free.example@strange.example",
    "u@[{strange}]",
    "u@[IPv6:::ffff:{strange}]",
    "u@{strange}",
    "u@[mx.strange.example]",
    "u@strange.example:25",
    "u@strange.example(free.example)",
    "u@strange.example <u@free.example>",
    "<u@strange.example>",
    "u@\N{LATIN SMALL LETTER LONG S}trange.example",
    "u@strange\N{IDEOGRAPHIC FULL STOP}example",
    "ü@strange.example",
    "u@sub.strange.example",
]


def test_no_spelling_of_an_address_bypasses_a_policy(world: World) -> None:
    address = world.address(world.containers["strange"])
    for port in (2525, 25):
        for number, trick in enumerate(TRICKS):
            sender = "a@corp.example" if port == 2525 else "a@stranger.example"
            with world.session(port) as session:
                session.docmd(f"MAIL FROM:<{sender}>")
                session.send(f"RCPT TO:<{trick.format(strange=address)}>\r\n".encode())
                code, _ = session.getreply()
                assert code == 250 or 500 <= code < 600, trick
                if code == 250:
                    session.data(f"Subject: trick {port}/{number}\r\n\r\n")
    world.send("last@loose.example")
    world.outcome("last@loose.example")
    until(lambda: " status=deferred" in world.log())
    bodies = [mail["body"] for mail in world.received("strange")]
    assert not [body for body in bodies if "Subject: trick" in body]


@pytest.mark.parametrize(
    ("sender", "plaintext", "encrypted"),
    [
        ("a@one.example", 450, 250),
        ("a@ONE.example", 450, 250),
        ("a@one.example.", 450, 250),
        ("a@deep.sub.one.example", 450, 250),
        ('"a@one.example"', 450, 250),
        ('"a b"@one.example', 450, 250),
        ("@x.example:a@one.example", 450, 250),
        ("a@exact.example", 450, 250),
        ("a@sub.exact.example", 250, 250),
        ("a@notone.example", 250, 250),
        ("a@stranger.example", 250, 250),
        ("", 450, 250),  # the null sender, from a partner's network
        ("a@network.example", 450, 451),  # the policy helper is down
        ("a@[192.0.2.1]", 553, 553),
        ("nobody", 504, 504),
    ],
)
def test_inbound(world: World, sender: str, plaintext: int, encrypted: int) -> None:
    for tls, expected in ((False, plaintext), (True, encrypted)):
        with world.session(tls=tls) as session:
            assert session.docmd(f"MAIL FROM:<{sender}>")[0] == 250
            code, text = session.docmd("RCPT TO:<staff@corp.example>")
            assert code == expected, text
            # No sender may relay, whether encrypted or not.
            assert session.docmd("RCPT TO:<u@free.example>")[0] >= 450


@pytest.mark.parametrize(
    "recipient",
    ["u@free.example", "u@sub.corp.example", "u%free.example@corp.example", '"u@free.example"'],
)
def test_port_25_relays_for_nobody(world: World, recipient: str) -> None:
    with world.session() as session:
        session.docmd("MAIL FROM:<a@stranger.example>")
        assert session.docmd(f"RCPT TO:<{recipient}>")[0] == 554


def test_internal_listener_requires_tls(world: World) -> None:
    with world.session(2525, tls=False) as session:
        assert session.docmd("MAIL FROM:<a@corp.example>")[0] == 530


@pytest.mark.parametrize("port", [25, 2525])
def test_offers(world: World, port: int) -> None:
    with world.session(port) as session:
        assert "smtputf8" not in session.esmtp_features
        assert "etrn" not in session.esmtp_features
        assert session.docmd("VRFY postmaster")[0] == 502
        assert session.docmd("MAIL FROM:<a@corp.example> SMTPUTF8")[0] == 555
        session.send("MAIL FROM:<ä@corp.example>\r\n".encode())
        assert session.getreply()[0] == 553
    assert b"Postfix" not in _raw(world, port, b"QUIT\r\n")


def test_commands_sent_with_starttls_are_discarded(world: World) -> None:
    answer = _raw(world, 25, b"EHLO x\r\n", b"STARTTLS\r\nMAIL FROM:<a@stranger.example>\r\n")
    assert b"2.1.0" not in answer
    assert world.healthy()


def test_bare_newline_is_refused(world: World) -> None:
    smuggled = b"a\n.\r\nMAIL FROM:<b@one.example>\r\nRCPT TO:<smuggled@corp.example>\r\nDATA\r\nx"
    with world.session() as session:
        session.docmd("MAIL FROM:<a@stranger.example>")
        session.docmd("RCPT TO:<staff@corp.example>")
        assert session.docmd("DATA")[0] == 354
        session.send(smuggled + b"\r\n.\r\n")
        assert session.getreply()[0] in {521, 550}
    assert not [mail for mail in world.received("internal") if "smuggled" in mail["mail"]]


def test_oversized_message_is_refused(world: World) -> None:
    with world.session() as session, pytest.raises(smtplib.SMTPResponseException) as refused:
        session.sendmail("a@stranger.example", ["staff@corp.example"], "x" * 120_000)
    assert refused.value.smtp_code == 552


def test_nothing_beyond_the_hardening_is_needed(world: World) -> None:
    code, _ = world.run("sh", "-c", "touch /etc/x /usr/x /config/x /keys/x 2>/dev/null")
    assert code != 0
    _, processes = world.run("sh", "-c", "cat /proc/1/comm /proc/1/status")
    assert processes.startswith("master")
    assert "NoNewPrivs:\t1" in processes


def _raw(world: World, port: int, *lines: bytes) -> bytes:
    """All answers of the server to these bytes; each part is sent after an answer."""
    said = b""
    with socket.create_connection((world.address(world.gateway), port), timeout=3) as connection:
        for line in lines:
            said += connection.recv(4096)
            connection.sendall(line)
        try:
            while more := connection.recv(4096):
                said += more
        except TimeoutError:
            pass
    return said
