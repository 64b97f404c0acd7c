"""The socketmap's answers: DANE before MTA-STS, and no failure that opens anything."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postfix_mta_sts_resolver import netstring

from tests.support.fake_clock import FakeClock
from tests.unit.dns.fake_dns import FakeLookups, Table
from tests.unit.mta_sts.fake_sts import NOW, LocalHost
from tests.unit.policy.partner_list import partner, rules
from tlsgate.dns.dane import DomainDane
from tlsgate.dns.lookups import Answer
from tlsgate.mta_sts.cache import PolicyCache
from tlsgate.mta_sts.policies import RECHECK_SECONDS, StsPolicies
from tlsgate.policy.contract import NOTICES
from tlsgate.policy.outbound import (
    DANE_ONLY,
    NOT_FOUND,
    Responder,
    choose,
    mail_domain,
    no_rules,
)
from tlsgate.policy.rules import Rules

DIGEST = "ab" * 32
INSECURE_MX: Table = {("d.example", "MX"): (False, ["10 mx1.example."])}
STS_TXT: Table = {("_mta-sts.d.example", "TXT"): (False, ['"v=STSv1; id=1;"'])}
DANE: Table = {
    ("d.example", "MX"): (True, ["10 mx1.example.", "20 mx2.example."]),
    ("mx1.example", "A"): (True, ["192.0.2.1"]),
    ("mx2.example", "A"): (True, ["192.0.2.2"]),
    ("_25._tcp.mx1.example", "TLSA"): (True, [f"3 1 1 {DIGEST}"]),
}
BOTH_DANE: Table = {**DANE, ("_25._tcp.mx2.example", "TLSA"): (True, [f"3 1 1 {DIGEST}"])}
ENFORCE = "version: STSv1\r\nmode: enforce\r\nmx: mx1.example\r\nmax_age: 86400\r\n"
FindRules = Callable[[str], Awaitable[Rules | None]]


Body = str | asyncio.Event | None


class Helper:
    """A responder whose policy host serves one text, fails (None), or hangs (an Event)."""

    def __init__(
        self,
        lookups: Table | FakeLookups,
        body: Body,
        find: FindRules = no_rules,
        seconds: float = 5.0,
    ) -> None:
        self.lookups = lookups if isinstance(lookups, FakeLookups) else FakeLookups(lookups)
        self.host = LocalHost(self.lookups, ssl.create_default_context)
        self.host.body = body
        self.timer = FakeClock(NOW)
        self.policies = StsPolicies(
            self.host, PolicyCache(), report=lambda *_, **__: None, timer=self.timer
        )
        self.responder = Responder(self.lookups, self.policies, find, seconds)


async def ask(helper: Helper, key: str = "d.example", name: str = "QUERY") -> str:
    raw = await helper.responder.process_request(f"{name} {key}".encode())
    (answer,) = netstring.decode(raw)
    return str(answer.decode())


def once(table: Table, body: Body = None, key: str = "d.example", seconds: float = 5.0) -> str:
    async def run() -> str:
        return await ask(Helper(table, body, seconds=seconds), key)

    return asyncio.run(run())


def test_partners_are_asked_for_in_a_map_of_their_own_by_the_digest_of_their_rules() -> None:
    known = rules(partner("example.net"), partner("example.org", subdomains=True))

    async def find(digest: str) -> Rules | None:
        return known if digest == known.digest else None

    async def run() -> list[str]:
        responder = Helper({**INSECURE_MX, **STS_TXT}, ENFORCE, find).responder
        asked = [
            f"partners-{known.digest} d.example.org",
            f"partners-{known.digest} d.example",
            f"partners-{'0' * 16} d.example.org",
            "partners- d.example.org",
        ]
        found = [await responder.process_request(question.encode()) for question in asked]
        return [answer.decode().partition(":")[2].rstrip(",") for answer in found]

    temporary = "TEMP the list of partners is being changed"
    assert asyncio.run(run()) == [
        "OK secure match=nexthop:dot-nexthop",
        "NOTFOUND ",
        temporary,
        temporary,
    ]


def test_enforced_policy_with_the_attributes_that_turn_on_its_mx_patterns() -> None:
    assert once({**INSECURE_MX, **STS_TXT}, ENFORCE) == (
        "OK secure match=mx1.example servername=hostname policy_type=sts policy_domain=d.example"
        " mx_host_pattern=mx1.example { policy_string = version: STSv1 }"
        " { policy_string = mode: enforce } { policy_string = mx: mx1.example }"
        " { policy_string = max_age: 86400 }"
    )


@pytest.mark.parametrize(
    ("table", "body", "answer"),
    [
        ({}, None, "NOTFOUND "),
        ({**INSECURE_MX, **STS_TXT}, ENFORCE.replace("enforce", "testing"), "NOTFOUND "),
        ({**INSECURE_MX, **STS_TXT}, ENFORCE.replace("enforce", "none"), "NOTFOUND "),
        ({**INSECURE_MX, **STS_TXT}, None, "NOTFOUND "),
        ({**INSECURE_MX, **STS_TXT}, "<html>", "NOTFOUND "),
        ({**BOTH_DANE, **STS_TXT}, ENFORCE, "NOTFOUND "),
        (DANE, None, "NOTFOUND "),
        ({**DANE, **STS_TXT}, ENFORCE, "OK dane-only"),
        ({**DANE, ("_25._tcp.mx2.example", "TLSA"): None, **STS_TXT}, ENFORCE, "OK dane-only"),
        ({("d.example", "MX"): None, **STS_TXT}, ENFORCE, "TEMP "),
        ({**INSECURE_MX, ("_mta-sts.d.example", "TXT"): None}, ENFORCE, "NOTFOUND "),
        ({**DANE, ("_25._tcp.mx1.example", "TLSA"): None, **STS_TXT}, ENFORCE, "TEMP "),
        ({**DANE, ("_25._tcp.mx1.example", "TLSA"): None}, None, "NOTFOUND "),
        ({**DANE, ("mx1.example", "A"): None, ("mx2.example", "A"): None}, None, "TEMP "),
    ],
)
def test_answers(table: Table, body: str | None, answer: str) -> None:
    got = once(table, body)
    assert got.startswith(answer) if answer == "TEMP " else got == answer


@pytest.mark.parametrize(
    ("table", "body", "answer"),
    [
        # The transport's default is `secure`: complete DANE must be said.
        (BOTH_DANE, None, "OK dane-only"),
        ({**BOTH_DANE, **STS_TXT}, ENFORCE, "OK dane-only"),
        (DANE, None, "NOTFOUND "),
        ({}, None, "NOTFOUND "),
        ({("d.example", "MX"): None}, None, "TEMP "),
    ],
)
def test_answers_for_notices(table: Table, body: str | None, answer: str) -> None:
    async def run() -> str:
        return await ask(Helper(table, body), name=NOTICES)

    assert asyncio.run(run()).startswith(answer)


@pytest.mark.parametrize(
    "key",
    [
        "[mx.d.example]",
        "[mx.d.example]:587",
        "d.example:25",
        ".d.example",
        "192.0.2.1",
        "[192.0.2.1]",
        "[IPv6:2001:db8::1]",
        "2001:db8::1",
        "localhost",
        "",
        "a b.example",
        f"{'a' * 64}.example",
        ".".join(["a" * 60] * 5),
        "a..example",
        "-",
    ],
)
def test_what_is_no_mail_domain_is_nobodys(key: str) -> None:
    assert mail_domain(key) is None
    assert once({(key, "MX"): None}, key=key) == "NOTFOUND "


@pytest.mark.parametrize(
    ("key", "domain"),
    [
        ("D.Example.", "d.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a.xn--p1ai", "a.xn--p1ai"),
    ],
)
def test_mail_domains_are_canonical(key: str, domain: str) -> None:
    assert mail_domain(key) == domain


@given(st.text(max_size=300))
def test_any_key_is_a_domain_or_nobodys(key: str) -> None:
    domain = mail_domain(key)
    assert domain is None or (domain == domain.lower() and domain.isascii() and "." in domain)


def test_requests_that_are_no_request_are_nobodys() -> None:
    async def run(raw: bytes) -> bytes:
        return await Helper({}, None).responder.process_request(raw)

    for raw in (b"", b"postfix", b"\xff\xfe \xff", b" " * 40):
        assert asyncio.run(run(raw)) == NOT_FOUND


@given(st.sampled_from(DomainDane), st.booleans())
def test_no_state_lets_an_enforced_policy_be_passed_over(dane: DomainDane, enforced: bool) -> None:
    sts = netstring.encode(b"OK secure match=mx") if enforced else NOT_FOUND
    answer = choose(dane, sts)
    if enforced and answer == NOT_FOUND:
        assert dane is DomainDane.COMPLETE
    if answer == DANE_ONLY:
        assert dane is DomainDane.PARTIAL
    if dane is DomainDane.FAILED:
        assert b"TEMP" in answer


def test_a_policy_that_is_known_outlives_failing_dns() -> None:
    async def run() -> tuple[str, str]:
        helper = Helper({**INSECURE_MX, **STS_TXT}, ENFORCE)
        fresh = await ask(helper)
        helper.lookups.table["_mta-sts.d.example", "TXT"] = None
        helper.timer.now += RECHECK_SECONDS
        return fresh, await ask(helper)

    fresh, kept = asyncio.run(run())
    assert fresh == kept
    assert kept.startswith("OK secure match=mx1.example")


def test_a_failed_fetch_is_not_repeated_at_once_but_after_the_roots_changed() -> None:
    async def run() -> tuple[int, str]:
        helper = Helper({**INSECURE_MX, **STS_TXT}, None)
        await ask(helper)
        await ask(helper)
        first = helper.host.fetched
        helper.host.body = ENFORCE
        helper.policies.forget_failures()
        return first, await ask(helper)

    first, answer = asyncio.run(run())
    assert first == 1
    assert answer.startswith("OK secure")


class HangingLookups(FakeLookups):
    """Never answers for the entries of `hanging`."""

    hanging: frozenset[tuple[str, str]] = frozenset()

    async def ask(self, name: str, rdtype: str) -> Answer:
        if (name, rdtype) in self.hanging:
            await asyncio.Event().wait()
        return await super().ask(name, rdtype)


@pytest.mark.parametrize(
    ("hanging", "body", "answer"),
    [
        ([("d.example", "MX")], None, "TEMP look-ups for d.example took more than"),
        ([("mx1.example", "A"), ("mx2.example", "A")], None, "TEMP TLSA look-up failed"),
        # Postfix passes over the host that cannot be looked up, or waits for it.
        ([("mx1.example", "A")], None, "NOTFOUND "),
        ([("_25._tcp.mx1.example", "TLSA")], None, "NOTFOUND "),
        ([("_25._tcp.mx1.example", "TLSA")], ENFORCE, "TEMP TLSA look-up failed"),
        ([("_mta-sts.d.example", "TXT")], ENFORCE, "TEMP the MTA-STS policy of d.example is being"),
    ],
)
def test_look_ups_that_hang(
    hanging: list[tuple[str, str]], body: str | None, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tlsgate.dns.dane.HOST_SECONDS", 0.05)

    async def run() -> str:
        lookups = HangingLookups({**DANE, ("_25._tcp.mx1.example", "TLSA"): (True, []), **STS_TXT})
        lookups.hanging = frozenset(hanging)
        return await ask(Helper(lookups, body, seconds=0.2))

    assert asyncio.run(run()).startswith(answer)


def test_a_policy_host_that_hangs_defers_once_and_holds_no_question_of_a_partner() -> None:
    known = rules(partner("example.net"))

    async def find(_digest: str) -> Rules | None:
        return known

    async def run() -> tuple[list[str], bytes]:
        hang = asyncio.Event()
        helper = Helper({**INSECURE_MX, **STS_TXT}, hang, find, seconds=0.05)
        waiting = asyncio.create_task(ask(helper))
        listed = await helper.responder.process_request(b"partners-x x.example.net")
        answers = [await waiting, await ask(helper)]
        helper.host.body = ENFORCE
        hang.set()
        while helper.policies.status()["looking"]:
            await asyncio.sleep(0)
        return [*answers, await ask(helper)], listed

    answers, listed = asyncio.run(run())
    assert answers[:2] == 2 * ["TEMP the MTA-STS policy of d.example is being fetched"]
    assert answers[2].startswith("OK secure match=mx1.example")
    assert b"TEMP" not in listed


@pytest.mark.parametrize(
    "texts",
    [
        ['"v=STSv1; id=1;"', '"v=STSv1; id=2;"'],
        ['"v=STSv1;"'],
        ['"v=STSv10; id=1"'],
        ['"id=1; v=STSv1"'],
        ['"v=STSv1; id=not-valid"'],
    ],
)
def test_records_that_are_none(texts: list[str]) -> None:
    assert once({**INSECURE_MX, ("_mta-sts.d.example", "TXT"): (False, texts)}, ENFORCE) == (
        "NOTFOUND "
    )
