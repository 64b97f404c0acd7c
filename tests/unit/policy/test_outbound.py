"""The socketmap's answers: DANE before MTA-STS, and no failure that opens anything."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postfix_mta_sts_resolver import netstring
from postfix_mta_sts_resolver.base_cache import CacheEntry

from tests.unit.policy.fake_dns import FakeLookups, Table
from tests.unit.policy.partner_list import partner, rules
from tlsgate.policy.dane import Domain
from tlsgate.policy.outbound import DANE_ONLY, NOT_FOUND, Responder, choose, mail_domain
from tlsgate.policy.rules import Rules
from tlsgate.policy.sts import PolicyFault, PolicyResolver, check_policy
from tlsgate.render.notices import MAP

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
Fetch = Callable[[str], Awaitable[str]]


class LocalPolicies(PolicyResolver):
    """Serves one text, or fails, in the place of HTTPS."""

    def __init__(self, lookups: FakeLookups, body: str | None) -> None:
        super().__init__(lookups, ssl.create_default_context)
        self.body = body
        self.fetched = 0

    async def _fetch(self, domain: str) -> str:
        self.fetched += 1
        if self.body is None:
            raise OSError("connection refused")
        return self.body


async def ask(responder: Responder, key: str = "d.example") -> str:
    raw = await responder.process_request(f"postfix {key}".encode())
    (answer,) = netstring.decode(raw)
    return str(answer.decode())


def once(table: Table, body: str | None = None, key: str = "d.example") -> str:
    async def run() -> str:
        lookups = FakeLookups(table)
        return await ask(Responder(lookups, LocalPolicies(lookups, body)), key)

    return asyncio.run(run())


def test_partners_are_asked_for_in_a_map_of_their_own_by_the_digest_of_their_rules() -> None:
    known = rules(partner("example.net"), partner("example.org", subdomains=True))

    async def find(digest: str) -> Rules | None:
        return known if digest == known.digest else None

    async def run() -> list[str]:
        lookups = FakeLookups({**INSECURE_MX, **STS_TXT})
        responder = Responder(lookups, LocalPolicies(lookups, ENFORCE), find)
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
        ({**INSECURE_MX, ("_mta-sts.d.example", "TXT"): None}, ENFORCE, "TEMP "),
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
    async def run() -> bytes:
        lookups = FakeLookups(table)
        responder = Responder(lookups, LocalPolicies(lookups, body))
        return await responder.process_request(f"{MAP} d.example".encode())

    assert asyncio.run(run()).decode().partition(":")[2].startswith(answer)


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
        lookups = FakeLookups({})
        return await Responder(lookups, LocalPolicies(lookups, None)).process_request(raw)

    for raw in (b"", b"postfix", b"\xff\xfe \xff", b" " * 40):
        assert asyncio.run(run(raw)) == NOT_FOUND


@given(st.sampled_from(Domain), st.booleans())
def test_no_state_lets_an_enforced_policy_be_passed_over(dane: Domain, enforced: bool) -> None:
    sts = netstring.encode(b"OK secure match=mx") if enforced else NOT_FOUND
    answer = choose(dane, sts)
    if enforced and answer == NOT_FOUND:
        assert dane is Domain.COMPLETE
    if answer == DANE_ONLY:
        assert dane is Domain.PARTIAL
    if dane is Domain.FAILED:
        assert b"TEMP" in answer


def test_a_cached_policy_outlives_failing_dns_until_its_max_age() -> None:
    async def run() -> tuple[str, str, str]:
        lookups = FakeLookups({**INSECURE_MX, **STS_TXT})
        responder = Responder(lookups, LocalPolicies(lookups, ENFORCE))
        fresh = await ask(responder)
        lookups.table["_mta-sts.d.example", "TXT"] = None
        cached = await responder._cache.get("d.example")
        old = CacheEntry(time.time() - 3600, cached.pol_id, cached.pol_body)
        await responder._cache.set("d.example", old)
        kept = await ask(responder)
        over = CacheEntry(time.time() - 86500, cached.pol_id, cached.pol_body)
        await responder._cache.set("d.example", over)
        return fresh, kept, await ask(responder)

    fresh, kept, expired = asyncio.run(run())
    assert fresh == kept
    assert kept.startswith("OK secure match=mx1.example")
    assert expired.startswith("TEMP ")


def test_a_failed_fetch_is_not_repeated_at_once_but_after_the_roots_changed() -> None:
    async def run() -> tuple[int, int, str]:
        lookups = FakeLookups({**INSECURE_MX, **STS_TXT})
        policies = LocalPolicies(lookups, None)
        responder = Responder(lookups, policies)
        await ask(responder)
        await ask(responder)
        first = policies.fetched
        policies.body = ENFORCE
        policies.forget_failures()
        return first, policies.fetched, await ask(responder)

    first, _, answer = asyncio.run(run())
    assert first == 1
    assert answer.startswith("OK secure")


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


GOOD = {"version": "STSv1", "mode": "enforce", "max_age": "86400", "mx": ["MX.d.example"]}


def test_a_checked_policy_holds_nothing_but_its_fields() -> None:
    assert check_policy({**GOOD, "evil": "} match=.attacker.example {"}) == {
        "version": "STSv1",
        "mode": "enforce",
        "mx": ["mx.d.example"],
        "max_age": 86400,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"version": "STSv2"},
        {"mode": "Enforce "},
        {"max_age": "-1"},
        {"max_age": "31557601"},
        {"max_age": "٣"},
        {"mx": []},
        {"mx": ["mx.d.example match=.attacker.example"]},
        {"mx": ["*"]},
        {"mx": [""]},
    ],
)
def test_a_bad_policy_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PolicyFault):
        check_policy({**GOOD, **change})
