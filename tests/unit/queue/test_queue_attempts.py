"""Which line of the log belongs to which attempt, and what a hostile or endless log costs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.queue.gateway_words import ARRIVED, LOG, fed, held_mail, one
from tlsgate.queue import attempts as module
from tlsgate.queue.attempts import DETAILS_LIMIT, Attempts

STAMP = "2026-11-27T16:51:32.000000001Z"
HEAD = f"{STAMP} Nov 27 16:51:32 mx1 postfix/"
PEER = "mx.acme.example[192.0.2.1]:25"
NOT_VERIFIED = "Server certificate not verified"
CANNOT = "Cannot start TLS: handshake failure"


def status(
    to: str = "a@acme.example",
    why: str = NOT_VERIFIED,
    *,
    program: str = "smtp",
    pid: int = 7,
    relay: str = PEER,
    number: str = "84955CA4FE",
    word: str = "deferred",
) -> str:
    return (
        f"{HEAD}{program}[{pid}]: {number}: to=<{to}>, relay={relay}, delay=0.1,"
        f" delays=0/0.09/0.01/0, dsn=4.7.5, status={word} ({why})"
    )


def refusal(why: str, peer: str = PEER) -> str:
    return f"server certificate verification failed for {peer}: {why}"


def tls(word: str, peer: str = PEER) -> str:
    return f"{word} TLS connection established to {peer}: TLSv1.3 with cipher X (256/256 bits)"


def library(why: str) -> str:
    return f"warning: TLS library problem: error:0A00042E:SSL routines::{why}:../ssl/x.c:1:"


EXPIRED, MISMATCH = refusal("certificate has expired"), refusal("num=62:hostname mismatch")


@pytest.mark.parametrize("group", ["", "partner/", "partner-dated/", "to-internal/", "notice/"])
@pytest.mark.parametrize("proxied", [True, False])
def test_every_service_of_the_layout(group: str, proxied: bool) -> None:
    held = one()
    first = f"{group}tlsproxy[3]" if proxied else f"{group}smtp[7]"
    lines = [
        f"{HEAD}{first}: {EXPIRED}",
        f"{HEAD}{first}: {tls('Untrusted')}",
        *([f"{HEAD}{group}smtp[7]: {tls('Untrusted')}"] if proxied else []),
        status(program=f"{group}smtp"),
    ]
    found = fed([held], lines).of(held)
    assert found is not None
    assert (found.server, found.said, found.details) == (PEER, NOT_VERIFIED, (EXPIRED,))


def test_sessions_with_one_peer_at_the_same_time() -> None:
    """Two policies, one server: the word of the TLS line decides whose refusal it was."""
    held = [one("a@acme.example", number="A1"), one("b@beta.example", number="B2")]
    attempts = fed(
        held,
        [
            f"{HEAD}tlsproxy[3]: {EXPIRED}",
            f"{HEAD}tlsproxy[3]: {tls('Untrusted')}",
            f"{HEAD}tlsproxy[3]: {MISMATCH}",
            f"{HEAD}tlsproxy[3]: {tls('Trusted')}",
            f"{HEAD}smtp[8]: {tls('Trusted')}",
            f"{HEAD}smtp[7]: {tls('Untrusted')}",
            status("b@beta.example", pid=8, number="B2"),
            status("a@acme.example", pid=7, number="A1"),
        ],
    )
    assert [found.details for message in held if (found := attempts.of(message))] == [
        (EXPIRED,),
        (MISMATCH,),
    ]


def test_a_process_that_goes_on_forgets_the_message_before() -> None:
    held = [one("a@acme.example", number="A1"), one("b@beta.example", number="B2")]
    attempts = fed(
        held,
        [
            f"{HEAD}smtp[7]: {EXPIRED}",
            f"{HEAD}smtp[7]: {tls('Untrusted')}",
            status("a@acme.example", number="A1"),
            f"{HEAD}smtp[7]: warning: connect to policy:8461: Connection refused",
            status("b@beta.example", "client TLS configuration problem", relay="none", number="B2"),
        ],
    )
    found = attempts.of(held[1])
    assert found is not None
    assert found.server == ""
    assert found.details == ("warning: connect to policy:8461: Connection refused",)


@pytest.mark.parametrize(
    ("to", "number"), [("b@beta.example", "B2"), ("b@acme.example", "B2"), ("b@beta.example", "A1")]
)
def test_a_message_of_which_nothing_else_is_said(to: str, number: str) -> None:
    held = [one("a@acme.example", number="A1"), one(to, number=number)]
    attempts = fed(
        held,
        [
            f"{HEAD}smtp[7]: connect to mx.acme.example[192.0.2.1]:25: Connection refused",
            status("a@acme.example", "connect to …", relay="none", number="A1"),
            status(to, "TLS is required, but was not offered by host mx", number=number),
        ],
    )
    found = attempts.of(held[1])
    assert found is not None
    assert found.details == ()


def test_the_recipients_of_one_message_share_its_session() -> None:
    held = [one("a@acme.example"), one("b@acme.example")]
    attempts = fed(
        held,
        [
            f"{HEAD}smtp[7]: {EXPIRED}",
            f"{HEAD}smtp[7]: {tls('Untrusted')}",
            status("a@acme.example"),
            status("b@acme.example"),
        ],
    )
    assert [found.details for message in held if (found := attempts.of(message))] == [
        (EXPIRED,),
        (EXPIRED,),
    ]


def test_a_library_problem_of_another_session_is_not_taken() -> None:
    held = one()
    lines = [
        f"{HEAD}tlsproxy[3]: {library('unexpected eof')}",
        f"{HEAD}tlsproxy[3]: DISCONNECT [198.51.100.9]:25",
        f"{HEAD}tlsproxy[3]: TLS handshake failed for service=smtp peer=[192.0.2.1]:25",
        status(why=CANNOT),
    ]
    found = fed([held], lines).of(held)
    assert found is not None
    assert found.details == ("TLS handshake failed for service=smtp peer=[192.0.2.1]:25",)


def test_the_last_attempt_counts() -> None:
    held = one()
    lines = [status(), status(why=f"connect to {PEER}: Connection refused", relay="none")]
    found = fed([held], lines).of(held)
    assert found is not None
    assert found.said.startswith("connect to")


@pytest.mark.parametrize("own_line", [True, False])
def test_suspended_mail_has_the_reason_of_the_message_before(own_line: bool) -> None:
    said = f"delivery temporarily suspended: {NOT_VERIFIED}"
    held = [one("a@acme.example", number="A1"), one("b@acme.example", said, number="B2")]
    suspended = status("b@acme.example", said, program="error", relay="none", number="B2")
    attempts = fed(
        held,
        [
            f"{HEAD}smtp[7]: {EXPIRED}",
            f"{HEAD}smtp[7]: {tls('Untrusted')}",
            status("a@acme.example", number="A1"),
            *([suspended] if own_line else []),
        ],
    )
    found = attempts.of(held[1])
    assert found is not None
    assert (found.server, found.details) == (PEER, (EXPIRED,))
    assert (found.time is not None) == own_line


def test_another_reason_at_the_same_domain_is_not_taken() -> None:
    held = [one("a@acme.example", number="A1"), one("b@acme.example", CANNOT, number="B2")]
    assert fed(held, [status(number="A1")]).of(held[1]) is None


def test_an_id_that_was_used_before() -> None:
    held = one("a@acme.example", arrived=ARRIVED + timedelta(hours=1))
    assert fed([held], [status()]).of(held) is None


@pytest.mark.parametrize(
    "line",
    [
        status(word="sent"),
        status(word="bounced"),
        status(number="FFFF"),
        status(to="b@acme.example"),
        status().replace("status=", "state="),
        status(program="smtpd"),
        status(program="qmgr"),
        # A peer's words about somebody else's message.
        status("x@else.example", f"host said: 450 84955CA4FE: {status()[len(HEAD) :]}", number="F"),
    ],
)
def test_lines_of_something_else(line: str) -> None:
    held = one()
    found = fed([held], [line]).of(held)
    assert found is None or found.time is None


PIECES = st.sampled_from(
    [
        *(f"{program}[{pid}]: " for program in ("smtp", "tlsproxy", "error") for pid in "12"),
        HEAD,
        STAMP,
        tls("Untrusted"),
        EXPIRED,
        library("x"),
        status(),
        "to=<a@acme.example>, ",
        "relay=none, ",
        ">, orig_to=<",
        "status=deferred (",
        ")",
        "\x1b[2J",
        "84955CA4FE: ",
    ]
)


@given(st.lists(st.lists(PIECES | st.text(max_size=20), max_size=6).map("".join), max_size=20))
def test_no_line_breaks_it(lines: list[str]) -> None:
    held = one()
    found = fed([held], lines).of(held)
    assert found is None or len(found.details) <= DETAILS_LIMIT + 1


@given(st.lists(st.sampled_from(LOG), max_size=40))
def test_no_order_breaks_it(lines: list[str]) -> None:
    attempts = fed(held_mail(), lines)
    for message in held_mail():
        attempts.of(message)


def test_what_is_kept_does_not_grow_with_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROCESSES_LIMIT", 10)
    monkeypatch.setattr(module, "PEERS_LIMIT", 10)
    held = one()
    attempts = Attempts([held])
    for number in range(1000):
        peer = f"mx.x{number}.example[192.0.2.1]:{number}"
        attempts.feed(f"{HEAD}tlsproxy[{number}]: {refusal('certificate has expired', peer)}")
        attempts.feed(f"{HEAD}tlsproxy[{number}]: {tls('Untrusted', peer)}")
        attempts.feed(f"{HEAD}smtp[{number}]: warning: {'x' * 10_000}")
        attempts.feed(status(f"a@x{number}.example", pid=number, number=f"{number:X}"))
    assert len(attempts._processes) == 10
    assert len(attempts._peers) == 10
    assert attempts.of(held) is None
    assert not attempts._at_domain
