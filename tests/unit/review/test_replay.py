"""The gateway's log, as Postfix 3.10 writes it, under another list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.partners.test_partner_weakening import ACME, BETA, K1, K2, inb, out, until
from tests.unit.review.git_lists import ACME as ACME_FILE
from tlsgate import cli
from tlsgate.commands import partners_diff as command
from tlsgate.partners.model import Mode, Partner
from tlsgate.review.maillog import Received, Sent, Tls, read_log
from tlsgate.review.replay import judge_received, judge_sent, replay, replay_section
from tlsgate.review.text import markdown
from tlsgate.tls import Strength

TODAY = date(2026, 11, 25)
HEAD = "Nov 25 08:34:30 mx1 postfix/"
WITH = "with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange x25519"
MX = "mx.acme.example[192.0.2.1]:25"


def session(word: str, pid: int = 240, peer: str = MX, verb: str = "established") -> str:
    return f"{HEAD}smtp[{pid}]: {word} TLS connection {verb} to {peer}: TLSv1.3 {WITH}"


def sent(
    to: str = "a@acme.example", pid: int = 240, queue: str = "36564D8079", status: str = "sent"
) -> str:
    return (
        f"{HEAD}smtp[{pid}]: {queue}: to=<{to}>, relay={MX}, delay=0.2, delays=0.02/0.1/0.05/0.03,"
        f" dsn=2.0.0, status={status} (250 2.0.0 Ok: queued as 628391020B1)"
    )


def client(word: str = "", address: str = "192.0.2.9", queue: str = "55086D80B6") -> list[str]:
    host = f"mail.acme.example[{address}]"
    tls = f"{HEAD}smtpd[230]: {word} TLS connection established from {host}: TLSv1.3 {WITH}"
    return [
        f"{HEAD}smtpd[230]: connect from {host}",
        *([tls] if word else []),
        f"{HEAD}smtpd[230]: {queue}: client={host}",
    ]


def queued(sender: str, queue: str = "55086D80B6") -> str:
    return f"{HEAD}qmgr[222]: {queue}: from=<{sender}>, size=565, nrcpt=1 (queue active)"


INTERNAL = [line.replace("smtpd", "internal/smtpd") for line in client()]
VERIFIED, TRUSTED, UNTRUSTED, ANONYMOUS = (
    Tls(word, "TLSv1.3", "TLS_AES_256_GCM_SHA384")
    for word in ("Verified", "Trusted", "Untrusted", "Anonymous")
)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([session("Verified"), sent()], [("acme.example", VERIFIED)]),
        ([session("Trusted", verb="reused"), sent()], [("acme.example", TRUSTED)]),
        ([sent()], [("acme.example", None)]),
        ([session("Verified", pid=241), sent()], [("acme.example", None)]),
        (
            [session("Verified", peer="mx.evil.example[192.0.2.1]:25"), sent()],
            [("acme.example", None)],
        ),
        (
            [session("Verified"), sent(), sent("b@ACME.example.")],
            [("acme.example", VERIFIED), ("acme.example", VERIFIED)],
        ),
        (  # another message in a later session of the same process, in plaintext
            [session("Verified"), sent(), sent(queue="2")],
            [("acme.example", VERIFIED), ("acme.example", None)],
        ),
        ([session("Verified"), sent(status="deferred"), sent(queue="2")], [("acme.example", None)]),
        ([session("Verified"), sent(status="bounced")], []),
        (
            [f"{HEAD}tlsproxy[245]: {session('Verified').partition(': ')[2]}", sent()],
            [("acme.example", None)],
        ),
        ([sent().replace("postfix/smtp", "postfix/to-internal/smtp")], []),
        (
            [
                "",
                "nonsense",
                "Nov 25 postfix/smtp[x]: y",
                "postfix/smtp[1]: 1: to=<a@b>, status=sent",
            ],
            [],
        ),
    ],
)
def test_what_was_sent_and_with_which_tls(
    lines: list[str], found: list[tuple[str, Tls | None]]
) -> None:
    messages = list(read_log(lines, TODAY))
    assert messages == [Sent(TODAY, domain, tls) for domain, tls in found]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([*client("Anonymous"), queued("a@acme.example")], [("acme.example", ANONYMOUS)]),
        ([*client("Untrusted"), queued("a@acme.example")], [("acme.example", UNTRUSTED)]),
        ([*client(), queued("a@acme.example")], [("acme.example", None)]),
        ([*client(), queued("")], [("", None)]),
        # The queue looks at a message again: it came once.
        ([*client(), queued("a@x.example"), queued("a@x.example")], [("x.example", None)]),
        # The next client of the same process has no TLS until it starts it.
        (
            [*client("Anonymous"), *client(queue="2"), queued("a@x.example", "2")],
            [("x.example", None)],
        ),
        ([queued("a@acme.example")], []),
        (
            [*(one.replace("smtpd", "internal/smtpd") for one in client()), queued("a@x.example")],
            [],
        ),
        (client("Anonymous"), []),
    ],
)
def test_what_was_received_and_with_which_tls(
    lines: list[str], found: list[tuple[str, Tls | None]]
) -> None:
    messages = list(read_log(lines, TODAY))
    assert messages == [Received(TODAY, domain, "192.0.2.9", tls) for domain, tls in found]


@pytest.mark.parametrize(
    ("head", "day"),
    [
        ("Nov 25 08:34:30 mx1 ", TODAY),
        ("Nov  5 08:34:30 mx1 ", date(2026, 11, 5)),
        ("Nov 26 08:34:30 mx1 ", date(2025, 11, 26)),
        ("Feb 29 08:34:30 mx1 ", None),
        ("2026-11-20T08:34:30.123456+01:00 mx1 ", date(2026, 11, 20)),
        ("2026-11-20T08:34:30Z Nov 19 08:34:30 mx1 ", date(2026, 11, 20)),
        ("2026-13-20T08:34:30Z ", None),
        ("", None),
    ],
)
def test_the_day_of_a_line(head: str, day: date | None) -> None:
    line = sent().removeprefix("Nov 25 08:34:30 mx1 ")
    assert list(read_log([head + line], TODAY)) == [Sent(day, "acme.example", None)]


words = st.sampled_from([session("Verified"), sent(), queued("a@b.c"), *client("Trusted")])
cut = st.builds(
    lambda line, start, end: line[start:end], words, st.integers(0, 90), st.integers(0, 300)
)


@given(st.lists(words | cut | st.text(max_size=40), max_size=10))
def test_any_log_is_read_without_a_fault(lines: list[str]) -> None:
    assert len(list(read_log(lines, TODAY))) <= len(lines)


PIN, CA = replace(ACME, outbound=out("pin", keys=[K1])), replace(ACME, outbound=out("private-ca"))
DANE = replace(ACME, outbound=out("dane"))
OBSERVED = replace(ACME, mode=Mode.OBSERVE)
NARROW = replace(ACME, outbound=out("pkix", "mx.acme.example"))
COMPATIBLE = replace(ACME, tls=Strength.COMPATIBLE)
CBC = Tls("Verified", "TLSv1.2", "ECDHE-RSA-AES128-SHA256")
STATIC_RSA = Tls("Verified", "TLSv1.2", "AES256-GCM-SHA384")


@pytest.mark.parametrize(
    ("tls", "old", "new", "held", "unknown"),
    [
        (None, None, ACME, "no TLS", ""),
        (ANONYMOUS, None, ACME, "no certificate of a public CA", ""),
        (UNTRUSTED, None, ACME, "no certificate of a public CA", ""),
        (TRUSTED, None, ACME, "", "the log has no names of certificates"),
        (VERIFIED, None, ACME, "", "the log has no names of certificates"),
        (Tls("Verified", "TLSv1.1", "AES128-SHA"), ACME, ACME, "TLS below 1.2", ""),
        (CBC, ACME, ACME, "only older encryption", ""),
        (CBC, COMPATIBLE, COMPATIBLE, "", ""),
        (CBC, COMPATIBLE, ACME, "only older encryption", ""),
        (STATIC_RSA, COMPATIBLE, COMPATIBLE, "only older encryption", ""),
        (VERIFIED, NARROW, replace(NARROW, inbound=inb("tls", "192.0.2.0/28")), "", ""),
        (VERIFIED, ACME, NARROW, "", "the log has no names of certificates"),
        (
            VERIFIED,
            replace(ACME, mode=Mode.OBSERVE),
            ACME,
            "",
            "the log has no names of certificates",
        ),
        (TRUSTED, None, DANE, "no DANE", ""),
        (VERIFIED, None, DANE, "", "the log does not say whether it was DANE"),
        (UNTRUSTED, None, PIN, "", "the log has no keys"),
        (VERIFIED, PIN, replace(PIN, outbound=out("pin", keys=[K1, K2])), "", ""),
        (TRUSTED, None, CA, "", "the log does not say which CA it was"),
        (None, None, PIN, "no TLS", ""),
        (None, None, replace(ACME, exceptions=(until(1, "plaintext"),)), "", ""),
        (None, None, replace(ACME, exceptions=(until(1),)), "no TLS", ""),
        (ANONYMOUS, None, replace(ACME, exceptions=(until(1),)), "", ""),
        (None, None, replace(ACME, exceptions=(until(1, "plaintext", "inbound"),)), "no TLS", ""),
    ],
)
def test_what_would_have_happened_to_a_sent_message(
    tls: Tls | None, old: Partner | None, new: Partner, held: str, unknown: str
) -> None:
    verdict = judge_sent(Sent(TODAY, "acme.example", tls), old, new)
    assert (verdict.held, verdict.unknown) == (held, unknown)


PINNED = replace(ACME, inbound=inb("certificate", keys=[K1]))


@pytest.mark.parametrize(
    ("tls", "old", "new", "held", "unknown"),
    [
        (None, None, ACME, "no TLS", ""),
        (ANONYMOUS, None, ACME, "", ""),
        (CBC, None, ACME, "only older encryption", ""),
        (CBC, None, COMPATIBLE, "", ""),
        (STATIC_RSA, None, COMPATIBLE, "only older encryption", ""),
        (ANONYMOUS, None, PINNED, "no client certificate", ""),
        (UNTRUSTED, None, PINNED, "", "the log has no keys"),
        (UNTRUSTED, PINNED, replace(PINNED, inbound=inb("certificate", keys=[K1, K2])), "", ""),
        (UNTRUSTED, replace(PINNED, mode=Mode.OBSERVE), PINNED, "", "the log has no keys"),
        (ANONYMOUS, None, replace(ACME, inbound=inb("network", "192.0.2.0/28")), "", ""),
        (
            ANONYMOUS,
            None,
            replace(ACME, inbound=inb("network", "198.51.100.0/28")),
            "not from its networks",
            "",
        ),
        (None, None, replace(ACME, exceptions=(until(1, "plaintext", "inbound"),)), "", ""),
    ],
)
def test_what_would_have_happened_to_a_received_message(
    tls: Tls | None, old: Partner | None, new: Partner, held: str, unknown: str
) -> None:
    verdict = judge_received(Received(TODAY, "acme.example", "192.0.2.9", tls), old, new)
    assert (verdict.held, verdict.unknown) == (held, unknown)


def said(messages: Sequence[Sent | Received], old: list[Partner], new: list[Partner]) -> list[str]:
    tallies = replay(messages, old, new, date(2026, 11, 20))
    return [markdown(line) for line in replay_section(tallies, 5).lines]


def test_counts_are_by_partner_and_direction_for_rules_that_change() -> None:
    log: list[Sent | Received] = [
        Sent(TODAY, "acme.example", None),
        Sent(TODAY, "shop.acme.example", None),
        Sent(TODAY, "acme.example", UNTRUSTED),
        Sent(None, "acme.example", TRUSTED),
        Sent(date(2026, 11, 19), "acme.example", None),
        Sent(TODAY, "beta.example", None),
        Sent(TODAY, "other.example", None),
        Received(TODAY, "acme.example", "192.0.2.9", None),
        Received(TODAY, "", "192.0.2.9", None),
        Received(TODAY, "", "203.0.113.9", None),
    ]
    new = replace(ACME, inbound=inb("tls", "192.0.2.0/28"))
    assert said(log, [BETA], [new, BETA]) == [
        "`Acme`: of 2 messages from it, 2 would be refused (2 no TLS)",
        "`Acme`: of 4 messages to it, 3 would be held (2 no TLS, 1 no certificate of a public CA);"
        " 1 cannot be decided (1 the log has no names of certificates)",
    ]
    assert said(log[:1], [], [OBSERVED]) == [
        "`Acme`: of 1 messages to it, 1 would only be counted as held (observe) (1 no TLS)"
    ]
    assert said(log, [ACME, BETA], [ACME, BETA]) == [
        "the log has no mail to or from a domain whose rule changes"
    ]


def test_the_report_says_what_would_have_happened_to_logged_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_today", lambda: TODAY)
    for name in ("old", "new"):
        Path(name).mkdir()
    Path("new/acme.yaml").write_text(ACME_FILE)
    Path("mail.log").write_text("\n".join([session("Untrusted"), sent(), "\xff", sent(queue="2")]))
    arguments = ["partners", "diff", "./old", "./new", "--replay"]
    assert cli.main([*arguments, "mail.log", "--days", "3"]) == 0
    assert capsys.readouterr().out.endswith(
        "### What would have happened to the mail of the last 3 days\n\n"
        "- `Acme Motors AG`: of 2 messages to it, 2 would be held (1 no certificate of a public CA,"
        " 1 no TLS)\n"
    )
    assert cli.main([*arguments, "mail.log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replay"] == {
        "days": 14,
        "partners": [
            {
                "partner": "Acme Motors AG",
                "direction": "outbound",
                "observed": False,
                "messages": 2,
                "held": {"no certificate of a public CA": 1, "no TLS": 1},
                "unknown": {},
            }
        ],
    }
    assert cli.main([*arguments, "missing.log"]) == 2
    assert "missing.log: cannot be read (No such file" in capsys.readouterr().err


def test_a_real_log_under_a_list_of_domains_that_were_free_so_far() -> None:
    """gateway.log: what Postfix 3.10.13 wrote when the lab's peers got mail, listed and not."""
    verify = {"dane": "dane", "dane-broken": "dane", "pinned": "pin"}
    peers = [
        *("dane", "dane-broken", "expired", "good", "hosted", "oldtls", "pinned", "plain"),
        *("selfsigned", "stripped", "sts", "sts-broken", "unknownca", "wrongname"),
    ]
    new = [
        replace(
            ACME,
            name=peer,
            domains=(f"{peer}-free.example",),
            outbound=out(verify.get(peer, "pkix"), keys=[K1] if peer == "pinned" else []),
        )
        for peer in peers
    ]
    with Path(__file__).with_name("gateway.log").open() as lines:
        tallies = replay(read_log(lines, TODAY), [], new)
    met = {one.partner: [*one.held, *one.unknown] for one in tallies}
    assert met == {
        "dane": ["the log does not say whether it was DANE"],
        "expired": ["no certificate of a public CA"],
        "good": ["the log has no names of certificates"],
        "hosted": ["the log has no names of certificates"],
        "oldtls": ["TLS below 1.2"],
        "pinned": ["the log has no keys"],
        "plain": ["no TLS"],
        "selfsigned": ["no certificate of a public CA"],
        "stripped": ["no TLS"],
        "sts": ["the log has no names of certificates"],
        "unknownca": ["no certificate of a public CA"],
        "wrongname": ["the log has no names of certificates"],
    }
