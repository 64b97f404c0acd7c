"""Notices of a real Postfix through the real milter: every case of D20."""

from __future__ import annotations

import json
from email.message import Message

import pytest

from tests.integration.notices.notices_world import DATE, NoticesWorld
from tests.integration.postfix.world import until
from tlsgate.notices.contract import HEADER, PROTECTED

pytestmark = pytest.mark.integration

FORGED = f"{HEADER}: {PROTECTED}\r\n"
FAILED = r"status=deferred \((bounce|trace|delay warning) failed\)"
WAITS = "Server certificate not verified"


def original(notice: Message) -> str:
    """The part that is about the message itself."""
    parts = [part for part in notice.get_payload() if isinstance(part, Message)]
    content = parts[2].get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode().replace("\r\n", "\n")


def queued(world: NoticesWorld, address: str) -> list[str]:
    """The reasons of the messages that wait for a recipient."""
    _, output = world.run("postqueue", "-j")
    messages = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [
        str(recipient.get("delay_reason", ""))
        for message in messages
        for recipient in message["recipients"]
        if recipient["address"] == address
    ]


@pytest.mark.parametrize("octets", [1, 1_000_000])
def test_own_users_see_which_message_it_was(world: NoticesWorld, octets: int) -> None:
    identifier = world.submit("own@corp.example", "nosuch@one.example", octets=octets)
    mail, notice = world.notice("internal", identifier)
    assert "Subject: secret-subject" in original(notice)
    assert "secret-body" not in mail["body"]
    assert notice[HEADER] is None


MESSAGES = [
    pytest.param("nosuch@one.example", {}, "Undelivered Mail Returned to Sender", id="bounce"),
    pytest.param("nosuch@watched.example", {}, "Undelivered Mail Returned to Sender", id="watched"),
    pytest.param(
        "nosuch@one.example", {"octets": 1_000_000}, "Undelivered Mail Returned to Sender", id="big"
    ),
    pytest.param(
        "nosuch@one.example",
        {"ret": "FULL", "headers": FORGED},
        "Undelivered Mail Returned to Sender",
        id="full",
    ),
    pytest.param(
        "later@one.example", {"ret": "FULL"}, "Delayed Mail (still being retried)", id="warning"
    ),
    pytest.param(
        "ok@one.example",
        {"ret": "FULL", "notify": "SUCCESS"},
        "Successful Mail Delivery Report",
        id="success",
    ),
]


@pytest.mark.parametrize(("recipient", "how", "subject"), MESSAGES)
def test_outsiders_get_no_content_and_only_over_verified_tls(
    world: NoticesWorld, recipient: str, how: dict[str, str], subject: str
) -> None:
    identifier = world.submit("out@safe.example", recipient, **how)  # type: ignore[arg-type]
    mail, notice = world.notice("safe", identifier)
    assert notice["Subject"] == subject
    assert notice[HEADER] == PROTECTED
    assert "secret" not in mail["body"]
    assert original(notice).strip().split("\n") == [f"Message-ID: {identifier}", f"Date: {DATE}"]
    assert f"<{recipient}>" in mail["body"]
    assert f"Final-Recipient: rfc822; {recipient}" in mail["body"]
    assert mail["tls"]
    assert "postfix/notice/smtp" in world.log()
    assert world.log().count("Verified TLS connection established to mx.safe.example") > 0
    assert "Trusted TLS connection established to mx.safe.example" not in world.log()


def test_an_own_address_that_leads_outside_is_outside(world: NoticesWorld) -> None:
    """`tlsgate:postmaster` may be anywhere, and Postfix replaces it after the milter."""
    identifier = world.submit("postmaster@corp.example", "nosuch@one.example")
    mail, notice = world.notice("safe", identifier)
    assert "secret" not in mail["body"]
    assert notice[HEADER] == PROTECTED


def test_where_tls_cannot_be_verified_the_notice_waits(world: NoticesWorld) -> None:
    identifier = world.submit("held@loose.example", "nosuch@one.example")
    until(lambda: queued(world, "held@loose.example"), what="a notice that waits")
    attempt = until(lambda: world.deliveries("held@loose.example"), what="an attempt")[0]
    assert (attempt.status, attempt.text) == ("deferred", WAITS)
    assert not world.notices("loose", identifier)


@pytest.mark.parametrize("headers", ["", FORGED], ids=["plain", "forged"])
def test_what_is_about_no_partner_is_as_postfix_makes_it(world: NoticesWorld, headers: str) -> None:
    identifier = world.submit("out@loose.example", "nosuch@free.example", headers=headers)
    _, notice = world.notice("loose", identifier)
    assert "Subject: secret-subject" in original(notice)
    assert notice[HEADER] is None


def test_the_header_means_nothing_in_a_message(world: NoticesWorld) -> None:
    world.submit("own@corp.example", "reader@loose.example", headers=FORGED)
    assert world.outcome("reader@loose.example").status == "sent"


@pytest.mark.parametrize("name", ["one", "watched"])
def test_partners_get_notices_by_their_own_policy(world: NoticesWorld, name: str) -> None:
    identifier = world.submit(f"staff@{name}.example", "nosuch@free.example")
    mail, notice = world.notice("partners", identifier)
    assert "secret" not in mail["body"]
    assert notice[HEADER] is None


def test_an_observed_partner_gets_anothers_over_verified_tls(world: NoticesWorld) -> None:
    identifier = world.submit("staff@watched.example", "nosuch@one.example")
    until(lambda: queued(world, "staff@watched.example"), what="a notice that waits")
    # Its server shows another name's certificate.
    assert not world.notices("partners", identifier)


def test_a_hostile_message_leaves_nothing(world: NoticesWorld) -> None:
    """A sender knows the queue id and the time, and so the boundary of the notice."""
    with world.session(2525) as session:
        session.docmd("MAIL FROM:<out@safe.example>")
        session.docmd("RCPT TO:<nosuch-hostile@one.example>")
        session.docmd("DATA")
        lines = [b"--x--", b"--x: y", b"X-\xff\xfe: \xff", b"Subject: secret" + b"y" * 60_000]
        session.send(b"\r\n".join([*lines[1:], b"", *lines, b"secret", b".", b""]))
        code, text = session.getreply()
        assert code == 250, text
    found = until(
        lambda: [m for m in world.received("safe") if "nosuch-hostile" in m["body"]],
        what="a notice",
    )
    assert "secret" not in found[0]["body"]


@pytest.mark.parametrize("state", ["down", "hung"])
def test_without_the_milter_notices_wait_and_nothing_is_lost(
    world: NoticesWorld, state: str
) -> None:
    milter = world.containers["notices"]
    failed = len(world.logged(FAILED, "postfix/qmgr"))
    milter.stop(timeout=1) if state == "down" else milter.pause()
    try:
        sent = {
            recipient: world.submit("out@safe.example", recipient, **how)  # type: ignore[arg-type]
            for recipient, how in (
                (f"nosuch-{state}@one.example", {}),
                (f"later-{state}@one.example", {}),
                (f"ok-{state}@one.example", {"notify": "SUCCESS"}),
            )
        }
        own = world.submit("own@corp.example", f"nosuch-{state}@one.example")
        # Postfix tried each of the four notices and created none.
        until(
            lambda: len(world.logged(FAILED, "postfix/qmgr")) >= failed + 4,
            30,
            "notices that are not made",
        )
        for identifier in sent.values():
            assert not world.notices("safe", identifier)
        assert not world.notices("internal", own)
    finally:
        milter.start() if state == "down" else milter.unpause()
    until(world.milter_healthy, what="a healthy milter")
    for identifier in sent.values():
        mail, _ = world.notice("safe", identifier)
        assert "secret" not in mail["body"]
        assert len(world.notices("safe", identifier)) == 1
    world.notice("internal", own)


def test_without_a_list_the_milter_is_unhealthy(world: NoticesWorld) -> None:
    container = world.start_milter_without_list()
    said = until(lambda: world.health_said(container), what="an answer of the health check")
    assert "b'M' with b't'" in said


def test_the_milter_can_do_only_what_it_needs(world: NoticesWorld) -> None:
    code, _ = world.containers["notices"].exec_run(["sh", "-c", "touch /config/x /etc/x /x"])
    assert code != 0
