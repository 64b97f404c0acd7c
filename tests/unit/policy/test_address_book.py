"""The partners' mail hosts: what DNS says adds addresses, and takes them away late or never."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_clock import FakeClock
from tests.unit.dns.fake_dns import FakeLookups
from tlsgate.dns.lookups import Answer
from tlsgate.policy import address_book
from tlsgate.policy.address_book import (
    ADDRESSES,
    FILE,
    HOSTS,
    KEPT_SECONDS,
    LONGEST,
    PATIENCE_SECONDS,
    SHORTEST,
    AddressBook,
    find_addresses,
)

ONE, TWO, SIX = "192.0.2.1", "192.0.2.2", "2001:db8::1"
Entries = dict[tuple[str, str], tuple[bool, list[str]] | None]


class World:
    """A book over a table of DNS and a clock."""

    def __init__(self, folder: Path) -> None:
        self.dns = FakeLookups({})
        self.dns.ttl = 600
        self.clock = FakeClock()
        self.folder = folder
        self.book = self.new_book()

    def new_book(self) -> AddressBook:
        return AddressBook(self.dns, self.folder, self.clock)

    def says(self, domain: str, *addresses: str) -> None:
        """The domain has one mail host, with these IPv4 addresses; none: the look-up fails."""
        self.dns.table[domain, "MX"] = (False, [f"10 mx.{domain}."]) if addresses else None
        self.dns.table[f"mx.{domain}", "A"] = (False, list(addresses))

    def look_up(self, *domains: str) -> None:
        for domain in domains:
            asyncio.run(self.book.look_up(domain))

    def owners(self, address: str) -> set[str]:
        return set(self.book.at(ipaddress.ip_address(address)))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def a(*addresses: str) -> tuple[bool, list[str]]:
    return False, list(addresses)


@pytest.mark.parametrize(
    ("table", "addresses", "failed"),
    [
        ({("a.example", "MX"): a("10 mx.a.example."), ("mx.a.example", "A"): a(ONE)}, {ONE}, False),
        (
            {
                ("a.example", "MX"): a("10 MX.a.example.", "20 mx.b.example."),
                ("mx.a.example", "A"): a(ONE, TWO),
                ("mx.b.example", "AAAA"): a(SIX),
                ("a.example", "A"): a("192.0.2.9"),
            },
            {ONE, TWO, SIX},
            False,
        ),
        # Without MX the domain is its own host; with a null MX it has none.
        ({("a.example", "A"): a(ONE), ("a.example", "AAAA"): a(SIX)}, {ONE, SIX}, False),
        ({("a.example", "MX"): a("0 ."), ("a.example", "A"): a(ONE)}, set(), False),
        ({}, set(), False),
        ({("a.example", "MX"): None, ("a.example", "A"): a(ONE)}, set(), True),
        # What the other look-ups find counts all the same.
        (
            {
                ("a.example", "MX"): a("10 mx.a.example.", "20 mx.b.example."),
                ("mx.a.example", "A"): None,
                ("mx.a.example", "AAAA"): a(SIX),
                ("mx.b.example", "A"): a(TWO),
            },
            {SIX, TWO},
            True,
        ),
    ],
)
def test_where_a_domains_mail_hosts_are(table: Entries, addresses: set[str], failed: bool) -> None:
    found = asyncio.run(find_addresses(FakeLookups(table), "a.example"))
    assert set(map(str, found.addresses)) == addresses
    assert bool(found.failure) == failed


def test_a_domain_with_many_hosts_costs_no_more_than_a_bound() -> None:
    names = [f"{number} mx{number}.a.example." for number in range(100)]
    dns = FakeLookups({("a.example", "MX"): (False, names)})
    asyncio.run(find_addresses(dns, "a.example"))
    assert len(dns.asked) == 1 + 2 * HOSTS
    assert ("mx0.a.example", "A") in dns.asked


def test_a_look_up_that_breaks_is_a_failure() -> None:
    class Broken:
        async def ask(self, name: str, rdtype: str) -> Answer:
            raise RecursionError(name)

    assert "RecursionError" in asyncio.run(find_addresses(Broken(), "a.example")).failure


def test_a_look_up_without_an_end_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        async def ask(self, name: str, rdtype: str) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(address_book, "LOOKUP_SECONDS", 0.01)
    assert "no end" in asyncio.run(find_addresses(Silent(), "a.example")).failure


def test_the_book_is_complete_when_every_domain_was_looked_up(world: World) -> None:
    assert world.book.complete  # no list yet
    world.says("a.example", ONE)
    world.says("b.example", ONE, TWO)
    world.book.follow(["a.example", "b.example"])
    assert not world.book.complete
    world.look_up("a.example")
    assert not world.book.complete
    world.look_up("b.example")
    assert world.book.complete
    assert world.owners(ONE) == {"a.example", "b.example"}
    assert world.owners(TWO) == {"b.example"}
    assert world.owners("192.0.2.3") == set()
    assert set(world.book.at(None)) == set()
    world.book.follow(["b.example", "c.example"])
    assert world.owners(ONE) == {"b.example"}
    assert not world.book.complete
    world.book.follow(["b.example"])
    assert world.book.complete


Act = Callable[[World], None]


def move(world: World) -> None:
    world.says("a.example", TWO)


def fail(world: World) -> None:
    world.says("a.example")


def vanish(world: World) -> None:
    world.dns.table = {}


@pytest.mark.parametrize(
    ("act", "seconds", "first", "second"),
    [
        (move, 1.0, True, True),
        (move, KEPT_SECONDS - 1, True, True),
        (move, KEPT_SECONDS + 1, False, True),
        (fail, KEPT_SECONDS * 9, True, False),
        (vanish, KEPT_SECONDS - 1, True, False),
        (vanish, KEPT_SECONDS + 1, False, False),
    ],
)
def test_one_answer_takes_nothing_away_at_once(
    world: World, act: Act, seconds: float, first: bool, second: bool
) -> None:
    world.says("a.example", ONE)
    world.book.follow(["a.example"])
    world.look_up("a.example")
    act(world)
    world.clock.now += seconds
    world.look_up("a.example")
    assert (world.owners(ONE) != set(), world.owners(TWO) != set()) == (first, second)
    assert world.book.complete


def test_no_answer_pushes_known_addresses_out(world: World) -> None:
    world.book.follow(["a.example"])
    pools = [[f"10.0.{pool}.{number}" for number in range(200)] for pool in range(2)]
    for pool in pools:
        world.says("a.example", *pool)
        world.look_up("a.example")
        world.clock.now += 1
    known = [[one for one in pool if world.owners(one)] for pool in pools]
    assert [len(one) for one in known] == [200, ADDRESSES - 200]


@pytest.mark.parametrize(
    ("ttl", "wait"),
    [(0, SHORTEST), (10, SHORTEST), (1000, 1000.0), (100_000, LONGEST)],
)
def test_when_a_domain_is_looked_up_again(world: World, ttl: int, wait: float) -> None:
    world.dns.ttl = ttl
    world.says("a.example", ONE)
    world.book.follow(["a.example"])
    assert world.book.next_due() == "a.example"
    assert world.book.next_due() is None  # nobody else gets it meanwhile
    world.look_up("a.example")
    world.clock.now += wait - 1
    assert world.book.next_due() is None
    world.clock.now += 1
    assert world.book.next_due() == "a.example"
    world.says("a.example")
    world.look_up("a.example")
    world.clock.now += SHORTEST
    assert world.book.next_due() == "a.example"


def test_who_was_never_looked_up_goes_first_and_once(world: World) -> None:
    world.says("a.example", ONE)
    world.book.follow(["a.example"])
    assert world.book.next_due() == "a.example"
    world.look_up("a.example")
    world.clock.now += LONGEST
    for _ in range(3):  # off the list and on it again
        world.book.follow(["a.example"])
        world.book.follow(["a.example", "b.example"])
    assert [world.book.next_due() for _ in range(3)] == ["b.example", "a.example", None]


def test_a_look_up_is_forgotten_if_the_list_changed_meanwhile(world: World) -> None:
    class Changing(FakeLookups):
        async def ask(self, name: str, rdtype: str) -> Answer:
            world.book.follow([])
            world.book.follow(["a.example"])
            return await super().ask(name, rdtype)

    world.dns = Changing({("a.example", "A"): a(ONE)})
    world.book = world.new_book()
    world.book.follow(["a.example"])
    world.look_up("a.example")
    assert not world.book.complete
    assert world.book.next_due() == "a.example"
    assert world.book.next_due() is None


def test_a_domain_that_never_answers_is_given_up_with_an_alert(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.says("dead.example")
    world.book.follow(["dead.example"])
    world.clock.now += PATIENCE_SECONDS * 2  # not its fault
    world.look_up("dead.example")
    assert not world.book.complete
    world.clock.now += PATIENCE_SECONDS
    world.look_up("dead.example")
    assert not world.book.complete
    assert capsys.readouterr().out == ""
    for _ in range(2):
        world.clock.now += SHORTEST
        world.look_up("dead.example")
        assert world.book.complete
    (alert,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert alert["what"] == "the mail servers of dead.example cannot be looked up"
    assert alert["reason"] == "MX of dead.example: SERVFAIL"
    world.says("dead.example", ONE)
    world.look_up("dead.example")
    assert world.owners(ONE) == {"dead.example"}


def test_a_restart_forgets_nothing(world: World) -> None:
    world.says("a.example", ONE, TWO)
    world.dns.table["mx.a.example", "AAAA"] = (False, [SIX])
    world.says("new.example")
    world.book.follow(["a.example", "none.example", "new.example"])
    world.look_up("a.example", "none.example", "new.example")
    world.book.write()
    world.dns.table = {("a.example", "MX"): None}
    world.book = world.new_book()
    world.book.write()  # it stops before it has a list
    world.book = world.new_book()
    world.book.follow(["a.example", "none.example"])
    assert world.book.complete
    world.look_up("a.example")
    assert [world.owners(one) for one in (ONE, TWO, SIX)] == [{"a.example"}] * 3
    world.book.follow(["new.example"])
    assert not world.book.complete


@pytest.mark.parametrize("text", ["", "[]", '{"a.example": 1}', '{"a.example": ["x"]}', "\xff"])
def test_a_file_that_is_none_begins_anew(
    world: World, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / FILE).write_text(text, "latin-1")
    book = world.new_book()
    (alert,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert alert["what"] == f"the state file {world.folder / FILE} was damaged"
    assert alert["next"].endswith("The partners' mail servers are looked up again.")
    assert len(list(world.folder.glob(f"{FILE}.damaged-*"))) == 1
    book.follow(["a.example"])
    assert not book.complete


def test_a_file_that_cannot_be_written_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path / "missing")
    world.says("a.example", ONE)
    world.book.follow(["a.example"])
    world.look_up("a.example")
    world.book.write()
    world.book.write()
    (alert,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert alert["what"] == "the partners' addresses cannot be kept"
    world.folder.mkdir()
    world.book.write()
    saved = json.loads((world.folder / FILE).read_text())
    assert saved == {"version": 1, "data": {"a.example": [ONE]}}


def test_it_looks_up_and_writes_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDLE_SECONDS", "WRITE_SECONDS", "SPACING_SECONDS"):
        monkeypatch.setattr(address_book, name, 0.001)
    domains = [f"{number}.example" for number in range(20)]
    for domain in domains:
        world.says(domain, ONE)

    async def run() -> None:
        keeper = asyncio.create_task(world.book.keep())
        world.book.follow(domains)
        async with asyncio.timeout(10):
            while not (world.folder / FILE).exists() or not world.book.complete:
                await asyncio.sleep(0.001)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    asyncio.run(run())
    assert world.owners(ONE) == set(domains)
    assert [asked for asked in world.dns.asked if asked[1] == "MX"].count(("7.example", "MX")) == 1


DOMAINS = ("a.example", "b.example")
POOL = [f"192.0.2.{number}" for number in range(4)]
steps = st.lists(
    st.tuples(
        st.sampled_from(DOMAINS),
        st.lists(st.sampled_from(POOL), unique=True),  # none: the look-up fails
        st.sampled_from([1.0, SHORTEST, KEPT_SECONDS / 2, KEPT_SECONDS]),
    ),
    max_size=12,
)


@given(steps, st.booleans())
def test_an_address_stays_until_answers_have_left_it_out_for_long(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[str, list[str], float]],
    fresh: bool,
) -> None:
    world = World(tmp_path_factory.mktemp("book"))
    world.book.follow(DOMAINS)
    last: dict[tuple[str, str], float] = {}
    for domain, addresses, seconds in changes:
        world.clock.now += seconds
        world.says(domain, *addresses)
        world.look_up(domain)
        for address in addresses:
            last[domain, address] = world.clock.now
        if addresses:
            last = {
                key: when
                for key, when in last.items()
                if key[0] != domain or world.clock.now - when <= KEPT_SECONDS
            }
        if fresh:
            world.book.write()
            again = world.new_book()
            again.follow(DOMAINS)
            known = {d for d, found, _ in changes if found}
            for address in POOL:
                owners = set(again.at(ipaddress.ip_address(address)))
                assert owners == {d for d in world.owners(address) if d in known}
        for address in POOL:
            assert world.owners(address) == {d for d in DOMAINS if (d, address) in last}
