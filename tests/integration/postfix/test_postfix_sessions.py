"""Inbound sessions and a change of the rules: no session continues with the old ones."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator

import pytest

from tests.integration.postfix.pki import new_key
from tests.integration.postfix.world import HOST, World, partner, until
from tlsgate.generation.sessions import GRACE_SECONDS

pytestmark = pytest.mark.integration

ONE = partner("one")
Plaintext = Callable[..., smtplib.SMTP]
MAIL, RCPT = "MAIL FROM:<a@new.example>", "RCPT TO:<staff@corp.example>"


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World) -> None:
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    world.deliver([ONE])
    world.start_gateway()


@pytest.fixture
def plaintext(world: World) -> Iterator[Plaintext]:
    """Sessions without TLS that have sent these commands; `new.example` is not on the list yet."""
    world.switch([ONE])
    opened: list[smtplib.SMTP] = []

    def begin(*commands: str) -> smtplib.SMTP:
        session = world.session(tls=False)
        opened.append(session)
        for command in commands:
            assert session.docmd(command)[0] == 250
        return session

    yield begin
    for session in opened:
        session.close()


def test_a_session_between_messages_ends_at_once(world: World, plaintext: Plaintext) -> None:
    session = plaintext(MAIL, RCPT)
    assert session.data("Subject: before\r\n\r\n")[0] == 250
    world.switch([ONE, partner("new")])
    assert session.docmd(MAIL)[0] == 250
    assert session.docmd(RCPT)[0] == 421
    with pytest.raises(smtplib.SMTPServerDisconnected):
        session.docmd("NOOP")


def test_a_message_whose_data_has_begun_is_accepted(world: World, plaintext: Plaintext) -> None:
    session = plaintext(MAIL, RCPT)
    assert session.docmd("DATA")[0] == 354
    world.switch([ONE, partner("new")])
    session.send(b"Subject: inside\r\n\r\ntext\r\n.\r\n")
    assert session.getreply()[0] == 250
    assert session.docmd(MAIL)[0] == 250
    assert session.docmd(RCPT)[0] == 421


def test_accepted_recipients_have_a_grace(world: World, plaintext: Plaintext) -> None:
    in_time, late = plaintext(MAIL, RCPT), plaintext(MAIL, RCPT)
    world.switch([ONE, partner("new")])
    assert in_time.docmd("DATA")[0] == 354
    ended = "find /run/tlsgate/sessions -name '*.ended'"
    code, names = world.run(
        "sh", "-c", f"{ended} -exec touch -d '{GRACE_SECONDS:.0f} seconds ago' {{}} +"
    )
    assert code == 0, names
    until(lambda: not world.run("sh", "-c", ended)[1], what="the end of the grace")
    assert late.docmd("DATA")[0] == 421


def test_an_earlier_list_can_be_active_again(world: World, plaintext: Plaintext) -> None:
    """The same files have the same name: their table must not keep its earlier answers."""
    old = plaintext()
    world.switch([ONE, partner("new")])
    world.switch([ONE])
    plaintext(MAIL, RCPT)
    assert old.docmd(MAIL)[0] == 250
    assert old.docmd(RCPT)[0] == 421


def test_a_new_certificate_ends_no_session(world: World, plaintext: Plaintext) -> None:
    session = plaintext(MAIL, RCPT)
    key = new_key()
    loaded = len(world.events("certificate"))
    world.put_certificate("2", key, world.authority.issue([HOST], key=key))
    until(lambda: len(world.events("certificate")) > loaded)
    assert session.data("Subject: renewed\r\n\r\n")[0] == 250
    assert session.docmd(MAIL)[0] == 250
    assert session.docmd(RCPT)[0] == 250
