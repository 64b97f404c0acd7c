"""Attacks of strangers on port 25 with raw bytes: they are refused, and the gateway keeps working.

Every message has a token in its recipient, so that tests can check that it did not arrive.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from lab import files, plan
from lab.driver import Lab, Message, message_text, new_token
from lab.endpoints import gateway_container
from tests.e2e.conftest import World
from tests.e2e.smtp_session import INTERNAL, SMTP, Reply, Session, connected, greeted
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

PEERS = ("internal", "good")
STRANGER = f"<a@{plan.STRANGER}>"
OVERSIZED = 53_000_000
"""Bytes; the config's default limit is 52,428,800."""

SENDERS = {
    "a stranger": STRANGER,
    "forged as ours": "<a@corp.example>",
    "the null sender": "<>",
    "a partner": "<partner@good.example>",
}
RELAYED = {
    "plainly": "<victim@elsewhere.example>",
    "in upper case": "<victim@ELSEWHERE.EXAMPLE>",
    "final dot": "<victim@elsewhere.example.>",
    "percent": "<victim%elsewhere.example@corp.example>",
    "bang path": "<elsewhere.example!victim>",
    "source route": "<@corp.example:victim@elsewhere.example>",
    "two at signs": "<victim@elsewhere.example@corp.example>",
    "at sign in quotes": '<"victim@elsewhere.example"@corp.example>',
    "quoted local part": '<"victim"@elsewhere.example>',
    "address literal": "<victim@[172.31.26.20]>",
    "a partner": "<victim@good.example>",
    "a subdomain of ours": "<victim@other.corp.example>",
    "a lookalike of ours": "<victim@notcorp.example>",
    "no domain": "<victim>",
    "the gateway itself": "<victim@mx1.corp.example>",
}
TRICKS = {
    "as it is": "<a@{domain}>",
    "upper case": "<A@{DOMAIN}>",
    "final dot": "<a@{domain}.>",
    "source route": "<@relay.example:a@{domain}>",
    "source route through us": "<@corp.example,@b.example:a@{domain}>",
    "quoted local part": '<"a"@{domain}>',
    "at sign in quotes": '<"a@b.example"@{domain}>',
    "space in quotes": '<"a b"@{domain}>',
    "subdomain": "<a@b.{domain}>",
    "subdomain in upper case": "<a@B.C.{DOMAIN}>",
    "no brackets": "a@{domain}",
    "comment": "<a@{domain}(x)>",
    "space": "<a@ {domain}>",
    "tab": "<a@\t{domain}>",
    "display name": "A <a@{domain}>",
    "parameters": "<a@{domain}> SIZE=100 BODY=8BITMIME",
    "percent": "<a%stranger.example@{domain}>",
    "extension": "<a+b@{domain}>",
}
SMUGGLED = {
    "LF dot LF": b"\n.\n",
    "LF dot CRLF": b"\n.\r\n",
    "CRLF dot LF": b"\r\n.\n",
    "CR dot CR": b"\r.\r",
    "CR dot CRLF": b"\r.\r\n",
    "CRLF dot CR": b"\r\n.\r",
    "CRLF dot NUL CRLF": b"\r\n.\x00\r\n",
    "LF CR dot CRLF": b"\n\r.\r\n",
}
GARBAGE = {
    "NULs": b"\x00" * 4096 + b"\r\n",
    "every byte": bytes(range(256)) * 64 + b"\r\n",
    "a TLS handshake": bytes.fromhex("16030100c8010000c40303") + b"\x01" * 189 + b"\r\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: mx1.corp.example\r\n\r\n",
    "a line of 1 MB": b"a" * 1_000_000 + b"\r\n",
    "an address of 100 kB": b"MAIL FROM:<" + b"a" * 100_000 + b"@stranger.example>\r\n",
    "unknown commands": b"XYZZY\r\n" * 200,
    "a letter above ASCII": "MAIL FROM:<a@\u0441orp.example>\r\n".encode(),
    "an address above ASCII": "MAIL FROM:<\u00fc@stranger.example> SMTPUTF8\r\n".encode(),
    "format strings": b"MAIL FROM:<%n%n@%s.example>\r\n",
    "bad parameters": b"MAIL FROM:<a@stranger.example> SIZE=-1 BODY=X\r\n",
    "no parameter": b"MAIL\r\n",
    "a command out of turn": b"DATA\r\n",
    "VRFY": b"VRFY postmaster\r\n",
    "ETRN": b"ETRN corp.example\r\n",
    "XCLIENT": b"XCLIENT ADDR=172.31.26.12\r\n",
    "AUTH": b"AUTH PLAIN AGEAYg==\r\n",
}


@pytest.fixture(scope="module", autouse=True)
def process(world: World) -> Iterator[None]:
    """At the end the gateway must still be the same process, and healthy."""
    gateway = world.client.containers.get(gateway_container("gateway"))
    began = gateway.attrs["State"]["StartedAt"]
    yield
    gateway.reload()
    assert gateway.attrs["State"]["StartedAt"] == began
    world.execute(
        gateway_container("gateway"),
        *["python3", "-m", "tlsgate.generation", "health", "--kind", "postfix"],
    )


@pytest.fixture(autouse=True)
def unharmed(process: None) -> Iterator[None]:
    """After each attack the gateway must still accept a stranger's mail in plaintext."""
    yield
    with greeted() as session:
        assert deliver(session, STRANGER, f"<{new_token()}@corp.example>").code == 250


def deliver(session: Session, sender: str, recipient: str, text: bytes = b"x\r\n.\r\n") -> Reply:
    """Do one transaction; return the last reply."""
    for command in (f"MAIL FROM:{sender}", f"RCPT TO:{recipient}", "DATA"):
        answer = session.ask(command)
        if answer.refused:
            return answer
    session.send(text)
    return session.reply()


@contextmanager
def paused(world: World) -> Iterator[None]:
    """Stop all processes of the gateway during the block."""
    gateway = world.client.containers.get(gateway_container("gateway"))
    gateway.pause()
    try:
        yield
    finally:
        gateway.unpause()


def came(token: str) -> list[str]:
    """The mailboxes with a message to this token; the token in a text alone proves nothing."""
    return [
        path.parts[-3]
        for path in files.MAILBOXES.glob("*/new/*")
        if f"\nDelivered-To: {token}@" in path.read_text(errors="replace")
    ]


@pytest.mark.parametrize("recipient", RELAYED.values(), ids=RELAYED)
@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "TLS"])
def test_port_25_relays_for_nobody(recipient: str, *, tls: bool) -> None:
    for sender in SENDERS.values():
        with greeted(tls=tls) as session:
            answer = deliver(session, sender, recipient)
            assert answer.refused, f"{sender} {recipient}: {answer}"
            assert sender != STRANGER or answer.code >= 500, answer


@pytest.mark.parametrize("tls", ["none", "starttls"])
def test_the_internal_listener_serves_only_the_internal_networks(lab: Lab, tls: str) -> None:
    """From a peer's address: as our own user, to anywhere, and even to us."""
    messages = [
        Message(
            new_token(), plan.GATEWAY_ADDRESS, plan.GATEWAY_INTERNAL_PORT, sender, to,
            message_text(sender, to, "x"), tls,
        )
        for sender in ("alice@corp.example", f"a@{plan.STRANGER}")
        for to in ("victim@elsewhere.example", "victim@corp.example")
    ]  # fmt: skip
    answers = lab.submit("good", messages).values()
    assert {(answer.code, answer.step) for answer in answers} <= {(554, "rcpt"), (530, "mail")}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_no_spelling_hides_a_partner_in_plaintext(trick: str) -> None:
    with greeted() as session:
        sender = trick.format(domain="good.example", DOMAIN="GOOD.EXAMPLE")
        answer = deliver(session, sender, f"<{new_token()}@corp.example>")
        assert answer.refused
        assert answer.code in {450, 501, 553, 555}, answer


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_no_spelling_hides_a_partner_whose_key_is_pinned(trick: str) -> None:
    """The session has TLS, but not the client key."""
    with greeted(tls=True) as session:
        sender = trick.format(domain="pinned.example", DOMAIN="PINNED.EXAMPLE")
        answer = deliver(session, sender, f"<{new_token()}@corp.example>")
        assert answer.refused
        assert answer.code in {450, 501, 553, 555}, answer


def test_commands_after_starttls_are_discarded() -> None:
    """CVE-2011-0411: commands in plaintext must not be executed under TLS."""
    injected = f"RSET\r\nMAIL FROM:{STRANGER}\r\nRCPT TO:<{new_token()}@corp.example>\r\n"
    with greeted() as session:
        session.send(b"STARTTLS\r\n" + injected.encode())
        assert session.reply().code == 220
        session.handshake()
        assert session.silent(1.0)
        answer = session.ask(f"RCPT TO:<{new_token()}@corp.example>")
        assert answer.code == 503


@pytest.mark.parametrize("before", [True, False], ids=["before the greeting", "with EHLO"])
def test_commands_that_do_not_wait_are_refused(world: World, *, before: bool) -> None:
    to = f"<{new_token()}@corp.example>"
    commands = f"EHLO a.example\r\nMAIL FROM:{STRANGER}\r\nRCPT TO:{to}\r\nDATA\r\n".encode()
    with ExitStack() as stack:
        if before:
            # The kernel accepts the connection meanwhile, so the commands always arrive first.
            with paused(world):
                session = stack.enter_context(connected())
                session.send(commands)
        else:
            session = stack.enter_context(connected())
            assert session.reply().code == 220
            session.send(commands)
        assert session.reply().code in {554, 521}
        assert session.reply().code == 0


@pytest.mark.parametrize("ending", SMUGGLED.values(), ids=SMUGGLED)
@pytest.mark.parametrize("listener", [SMTP, INTERNAL])
def test_no_message_is_smuggled_in_another(lab: Lab, listener: str, ending: bytes) -> None:
    """CVE-2023-51764, for mail to us and for mail that we send."""
    outer, inner, after = new_token(), new_token(), new_token()
    domain, box = ("corp.example", "internal") if listener == SMTP else ("good.example", "good")
    # A sender that the listener accepts: otherwise the smuggled mail would be refused for it.
    sender = STRANGER if listener == SMTP else "<alice@corp.example>"
    smuggled = (
        f"MAIL FROM:{sender}\r\nRCPT TO:<{inner}@{domain}>\r\nDATA\r\n"
        "Subject: smuggled\r\n\r\nx\r\n.\r\n"
    )
    text = b"Subject: outer\r\n\r\nx" + ending + smuggled.encode()
    with greeted(listener=listener, tls=listener == INTERNAL) as session:
        answer = deliver(session, sender, f"<{outer}@{domain}>", text)
        assert answer.code in {250, 521, 550, 554}, answer
        assert answer.code == 250 or b"\n" not in ending.replace(b"\r\n", b"") or answer.refused
        session.silent(0.3)
    with greeted(listener=listener, tls=listener == INTERNAL) as session:
        assert deliver(session, sender, f"<{after}@{domain}>").code == 250
    until(lambda: came(after), "mail after it")
    until(lambda: answer.refused or came(outer), "mail around it")
    assert came(outer) == ([] if answer.refused else [box])
    assert came(inner) == []


def test_the_search_for_smuggled_mail_works() -> None:
    token = new_token()
    with greeted() as session:
        assert deliver(session, STRANGER, f"<{new_token()}@corp.example>").code == 250
        assert deliver(session, STRANGER, f"<{token}@corp.example>").code == 250
    assert until(lambda: came(token), "mail") == ["internal"]


def test_an_announced_size_is_refused_at_once() -> None:
    with greeted() as session:
        answer = session.ask(f"MAIL FROM:{STRANGER} SIZE={OVERSIZED}")
        assert (answer.code, answer.text[4:9]) == (552, "5.3.4")


def test_an_oversized_message_is_refused_in_the_end() -> None:
    line = b"x" * 998 + b"\r\n"
    text = line * (OVERSIZED // len(line)) + b".\r\n"
    token = new_token()
    with greeted() as session:
        answer = deliver(session, STRANGER, f"<{token}@corp.example>", text)
        assert (answer.code, answer.text[4:9]) == (552, "5.3.4")
    assert came(token) == []


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "TLS"])
def test_garbage_is_refused(garbage: bytes, *, tls: bool) -> None:
    """With an error; for commands of another protocol with the end of the session."""
    with greeted(tls=tls) as session:
        session.send(garbage)
        answer = session.reply()
        left = answer.code == 221 and session.reply().code == 0
        assert left or answer.code == 0 or answer.code >= 500, answer


def test_lines_without_an_end_cost_no_memory(world: World) -> None:
    """Twenty clients send 4 MB each without a line end."""
    gateway = gateway_container("gateway")
    with ExitStack() as stack:
        sessions = [stack.enter_context(connected()) for _ in range(20)]
        assert [session.reply().code for session in sessions] == [220] * 20
        before = memory(world, gateway)
        for session in sessions:
            session.send(b"EHLO " + b"a" * 4_000_000)
        assert memory(world, gateway) - before < 20_000_000


def memory(world: World, container: str) -> int:
    """Memory of a container's processes in bytes: the sum of their resident sets."""
    script = "cat /proc/[0-9]*/statm | awk '{sum += $2} END {print sum}'"
    return int(world.execute(container, "sh", "-c", script)) * os.sysconf("SC_PAGE_SIZE")
