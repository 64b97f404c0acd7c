"""All settings of a record with the real Postfix and policy helper; rules end on their dates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.integration.postfix.pki import Authority, key_pem, new_key, spki_sha256
from tests.integration.postfix.stream import stream
from tests.integration.postfix.world import HOST, Delivery, World, partner, until
from tlsgate.partners import ca
from tlsgate.partners.ca import Anchor, parse_ca
from tlsgate.partners.model import (
    Allow,
    Direction,
    ExceptionRule,
    Inbound,
    Mode,
    Outbound,
    Partner,
    Require,
    Verify,
)
from tlsgate.render.partner_maps import compile_partners

pytestmark = pytest.mark.integration

OPEN_SECONDS = 12.0
"""How long an exception lasts: enough to deliver the list and to send a message."""
HELD_BY_NAME = "Server certificate not verified"
HELD_BY_CLEAR = "TLS is required, but was not offered"
HELD_BY_LOOKUP = "client TLS configuration problem"


CLIENT = new_key()


def rule(direction: Direction, allow: Allow) -> ExceptionRule:
    day = date(2026, 12, 24)
    return ExceptionRule(day, direction, allow, "late", "security@corp.example")


OUT = {allow: (rule(Direction.OUTBOUND, allow),) for allow in Allow}
IN = {allow: (rule(Direction.INBOUND, allow),) for allow in Allow}


def private(world: World, name: str, mx: str = "mx.strange.example") -> Partner:
    pem = parse_ca(world.stranger.pem)
    return partner(name, outbound=Outbound(Verify.PRIVATE_CA, (mx,), ca=pem))


def everyone(world: World) -> list[Partner]:
    """A partner of each kind, with exceptions whose end a test sets."""
    pins = (spki_sha256(world.stranger_key), "ab" * 32)
    named = Outbound(mx=("mx.one.example",))
    foreign = Inbound(Require.NETWORK, networks=("198.51.100.0/24",))
    return [
        partner("one"),
        partner("plain", exceptions=OUT[Allow.PLAINTEXT]),
        partner("strange", exceptions=OUT[Allow.ENCRYPTED]),
        partner("old", exceptions=OUT[Allow.PLAINTEXT]),
        private(world, "private"),
        private(world, "ended"),
        private(world, "public", "mx.one.example"),
        partner("rolled", outbound=Outbound(Verify.PIN, public_keys=tuple(sorted(pins)))),
        partner("xn--bcher-kva", outbound=named),
        partner("watched", mode=Mode.OBSERVE, inbound=foreign),
        partner("dated", exceptions=IN[Allow.PLAINTEXT], inbound=Inbound(networks=_own(world))),
        partner("late", exceptions=IN[Allow.ENCRYPTED], inbound=foreign),
        partner("far", inbound=foreign),
        partner(
            "cert",
            inbound=Inbound(
                Require.CERTIFICATE, public_keys=tuple(sorted([spki_sha256(CLIENT), "cd" * 32]))
            ),
        ),
    ]


def _own(world: World) -> tuple[str, ...]:
    return (world.subnet(),)


@pytest.fixture(scope="module", autouse=True)
def gateway(world: World, helper_image: str) -> Iterator[None]:
    """The gateway and the helper with one configuration, in which every exception has ended."""
    key = new_key()
    world.put_certificate("1", key, world.authority.issue([HOST], key=key))
    with pytest.MonkeyPatch.context() as patch:
        ends_at(patch, datetime.now(UTC))
        # If `near` is on the list too, the null sender needs TLS even if `dated` has an exception.
        near = partner("near", inbound=Inbound(Require.NETWORK, networks=_own(world)))
        world.deliver([*everyone(world), near], policy_host="helper")
    world.add_helper(helper_image)
    world.start_gateway()
    yield


def ends_at(patch: pytest.MonkeyPatch, time: datetime) -> None:
    """From now on rendered rules end at this moment instead of the end of the day."""
    patch.setattr("tlsgate.render.outbound_policy.end_of_day", lambda _: time)

    def anchors(pem: str) -> tuple[Anchor, ...]:
        return tuple(Anchor(one.pem, time) for one in ca.anchors(pem))

    # Of the private CAs only that of `ended` ends.
    real = compile_partners.__globals__["outbound_timeline"]

    def timeline(one: Partner, key: str) -> object:
        with pytest.MonkeyPatch.context() as inner:
            if one.name == "Ended":
                inner.setattr("tlsgate.render.outbound_policy.anchors", anchors)
            return real(one, key)

    patch.setattr("tlsgate.render.partner_maps.outbound_timeline", timeline)


def sent(world: World, recipient: str) -> Delivery:
    world.send(recipient)
    return world.outcome(recipient)


@pytest.mark.parametrize(
    ("domain", "peer", "held"),
    [
        ("one.example", "shared", ""),
        ("sub.one.example", "shared", HELD_BY_NAME),
        ("private.example", "strange", ""),
        ("public.example", "shared", HELD_BY_NAME),  # a public CA's certificate for its name
        ("ended.example", "strange", HELD_BY_NAME),
        ("rolled.example", "strange", ""),
        ("xn--bcher-kva.example", "shared", ""),
        ("plain.example", "plain", HELD_BY_CLEAR),
        ("strange.example", "strange", "Server certificate not"),
        ("watched.example", "strange", ""),
    ],
)
def test_rules_after_every_exception_has_ended(
    world: World, domain: str, peer: str, held: str
) -> None:
    recipient = f"ended@{domain}"
    outcome = sent(world, recipient)
    assert outcome.status == ("deferred" if held else "sent"), outcome
    assert held in outcome.text
    arrived = [mail for mail in world.received(peer) if recipient in mail["mail"]]
    assert len(arrived) == (0 if held else 1)


def rcpt(world: World, sender: str, *, tls: bool) -> int:
    with world.session(tls=tls) as session:
        assert session.docmd(f"MAIL FROM:<{sender}>")[0] == 250
        return session.docmd("RCPT TO:<staff@corp.example>")[0]


@pytest.mark.parametrize(
    ("sender", "encrypted"),
    [
        ("a@one.example", 250),
        ("a@x.one.example", 250),
        ("a@xn--bcher-kva.example", 250),
        ("a@XN--BCHER-KVA.example", 250),
        ("a@near.example", 250),
        ("a@x.near.example", 250),
        ("a@far.example", 450),
        ("a@cert.example", 450),
        ("", 250),
    ],
)
def test_what_each_sender_must_prove(world: World, sender: str, encrypted: int) -> None:
    assert rcpt(world, sender, tls=False) == 450
    assert rcpt(world, sender, tls=True) == encrypted


def test_a_client_is_known_by_either_of_two_keys(world: World, tmp_path: Path) -> None:
    for name, key, expected in (("known", CLIENT, 250), ("other", new_key(), 450)):
        pem = tmp_path / f"{name}.pem"
        pem.write_text(key_pem(key) + Authority(name).issue(["client.example"], key=key))
        with world.session(client=pem) as session:
            session.docmd("MAIL FROM:<a@x.cert.example>")
            assert session.docmd("RCPT TO:<staff@corp.example>")[0] == expected, name


def _refused(world: World, sender: str, tls: bool) -> bool:
    return rcpt(world, sender, tls=tls) == 450


INBOUND = [
    ("a@dated.example", False),
    ("a@x.dated.example", False),
    ("", False),  # from the network of `dated`
    ("a@late.example", True),
]


def test_exceptions_begin_and_end_only_by_the_clock(world: World) -> None:
    """One delivery; then nothing runs that could end the rules. Mail is sent across the end."""
    end = datetime.now(UTC) + timedelta(seconds=OPEN_SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        ends_at(patch, end)
        name = world.switch(everyone(world), policy_host="helper")
    expected = {"plain": "plain.example", "strange": "strange.example", "old": "old.example"}
    # If plaintext is allowed, old TLS is better than plaintext.
    versions = {"plain": "", "strange": "TLSv1.3", "old": "TLSv1"}
    for peer, domain in expected.items():
        recipient = f"open@{domain}"
        assert sent(world, recipient).status == "sent"
        (mail,) = [one for one in world.received(peer) if recipient in one["mail"]]
        assert mail["tls"] == versions[peer]
    assert sent(world, "open@ended.example").status == "sent"
    for sender, tls in INBOUND:
        assert rcpt(world, sender, tls=tls) == 250, sender
    assert rcpt(world, "a@late.example", tls=False) == 450
    assert datetime.now(UTC) < end, "the machine is too slow for this test"
    after = _stream_over(world, end)
    assert len(after) > 10
    for sender, tls in INBOUND:
        assert rcpt(world, sender, tls=tls) == 450, sender
    last = [f"last@{domain}" for domain in (*expected.values(), "ended.example")]
    world.send(*last)
    assert {world.outcome(recipient).status for recipient in last} == {"deferred"}
    arrived = str([mail["mail"] for peer in expected for mail in world.received(peer)])
    assert [one for one in after if f"<{one}>" in arrived] == []
    assert "<stream0@" in arrived
    assert name in world.run("cat", "/run/tlsgate/active-id")[1]


def _stream_over(world: World, end: datetime) -> list[str]:
    """Send mail without a pause before and after the end; return the recipients after it.

    So connections that the exception allowed are open when it ends.
    """
    after: list[str] = []
    with world.session(2525) as session:
        number = 0
        while (now := datetime.now(UTC)) < end + timedelta(seconds=3):
            domain = ("plain.example", "strange.example")[number % 2]
            recipient = f"stream{number}@{domain}"
            # Mail from just before the end may still be in delivery.
            if now > end:
                after.append(recipient)
            session.sendmail("a@corp.example", [recipient], "Subject: x\r\n\r\n")
            number += 1
            time.sleep(0.05)
    return after


def test_mail_that_needs_the_helper_waits_without_it(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        ends_at(patch, datetime.now(UTC) + timedelta(days=1))
        world.switch(everyone(world), policy_host="helper")
    assert sent(world, "with@strange.example").status == "sent"
    helper = world.containers["helper"]
    helper.kill("SIGKILL")
    for domain in ("plain.example", "strange.example", "private.example"):
        outcome = sent(world, f"without@{domain}")
        assert (outcome.status, HELD_BY_LOOKUP in outcome.text) == ("deferred", True), outcome
    # A rule without an end needs no helper, neither for the domain nor for its subdomains.
    assert sent(world, "without@one.example").status == "sent"
    below = sent(world, "without@sub.one.example")
    assert (below.status, below.text) == ("deferred", "Server certificate not verified")
    codes = {sender: rcpt(world, sender, tls=tls) for sender, tls in INBOUND}
    assert set(codes.values()) == {451}
    # Mail of an observed partner is delivered.
    assert rcpt(world, "a@watched.example", tls=False) == 250
    world.send("without@watched.example")
    helper.start()
    until(world.helped, what="a healthy policy helper")
    until(
        lambda: [d for d in world.deliveries("without@plain.example") if d.status == "sent"],
        what="delivery when the helper is back",
    )


def test_mail_waits_until_the_helper_has_the_gateways_list(world: World) -> None:
    helper = world.containers["helper"]
    with pytest.MonkeyPatch.context() as patch:
        ends_at(patch, datetime.now(UTC) + timedelta(days=1))
        world.switch(everyone(world), policy_host="helper")
        assert sent(world, "same@strange.example").status == "sent"
        # The helper does not use files that it cannot read.
        name = world.switch([*everyone(world), partner("more")], policy_host="helper")
        world.job(["sh", "-c", f"chmod 0 /config/generations/{name}/partner_rules.json; echo {{}}"])
        helper.restart(timeout=10)
        for sender, tls in INBOUND:
            # 451 until it answers at all
            until(partial(_refused, world, sender, tls), what=f"450 to {sender}")
        outcome = sent(world, "other@strange.example")
        assert (outcome.status, HELD_BY_LOOKUP in outcome.text) == ("deferred", True), outcome
        assert not world.helped()
        assert rcpt(world, "a@watched.example", tls=False) == 250
        world.switch(everyone(world), policy_host="helper")
        assert sent(world, "again@strange.example").status == "sent"
        assert world.helped()


def test_helper_and_gateway_activate_lists_at_any_speed(world: World) -> None:
    """Lists with and without the exception, in quick succession, while mail is sent."""
    with_it, without = everyone(world), [one for one in everyone(world) if one.name != "Strange"]
    without.append(partner("strange"))
    phases: list[tuple[str, str]] = []
    phase = ["open"]

    def recipient(number: int) -> str:
        phases.append((phase[0], f"pace{number}@strange.example"))
        return phases[-1][1]

    with stream(world, recipient, 0.05), pytest.MonkeyPatch.context() as patch:
        ends_at(patch, datetime.now(UTC) + timedelta(days=1))
        for _ in range(2):
            world.switch(with_it, policy_host="helper")
            world.switch(without, policy_host="helper")
        phase[0] = "closed"
        time.sleep(2)
    arrived = str([mail["mail"] for mail in world.received("strange")])
    closed = [recipient for when, recipient in phases if when == "closed"]
    assert len(closed) > 10
    assert [one for one in closed if f"<{one}>" in arrived] == []


def test_observed_mail_is_delivered_and_counted(world: World) -> None:
    before = world.observations()["Watched"]
    recipients = ["seen1@watched.example", "seen2@sub.watched.example"]
    assert sent(world, recipients[0]).status == "sent"
    with world.session(2525) as session:
        session.sendmail("a@corp.example", recipients, "Subject: x\r\n\r\n")
    for sender, tls in (("a@watched.example", False), ("a@watched.example", True)):
        with world.session(tls=tls) as session:
            session.docmd(f"MAIL FROM:<{sender}>")
            for recipient in ("staff", "more"):
                assert session.docmd(f"RCPT TO:<{recipient}@corp.example>")[0] == 250

    def counted(direction: str) -> tuple[int, dict[str, int]]:
        now, past = world.observations()["Watched"][direction], before[direction]
        held = {
            reason: count - past["would_hold"].get(reason, 0)
            for reason, count in now["would_hold"].items()
        }
        return now["messages"] - past["messages"], {r: n for r, n in held.items() if n}

    # sub.watched.example does not exist: no server takes its mail.
    until(
        lambda: counted("outbound") == (3, {"issuer": 2, "no-server": 1}),
        what=f"the outbound counts, not {counted('outbound')}",
    )
    until(
        lambda: counted("inbound") == (2, {"no-tls": 1, "foreign-network": 1}),
        what=f"the inbound counts, not {counted('inbound')}",
    )
