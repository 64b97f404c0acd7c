"""Which policy counts, and that a stranger's server decides neither how long nor whether."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.mta_sts.fake_sts import ENFORCE, FakeHosts, World
from tlsgate.mta_sts import policies as sts
from tlsgate.mta_sts.policies import DAY, HOUR, Undecided, refresh_time
from tlsgate.mta_sts.policy import StsPolicy, parse_policy

POLICY = parse_policy(ENFORCE)
HANGS = 0.02
"""Seconds to wait for what hangs."""


def run(use: Callable[[World], Awaitable[None]], hosts: FakeHosts | None = None) -> World:
    async def inside() -> World:
        world = World(hosts)
        await use(world)
        return world

    return asyncio.run(inside())


@pytest.mark.parametrize(
    ("hosts", "policy", "kind"),
    [
        (FakeHosts(), POLICY, None),
        (FakeHosts(ids={}), None, None),
        (FakeHosts(ids={"d.example": None}), None, "lookup"),
        (FakeHosts(files={}), None, "fetch"),
        (FakeHosts(files={"d.example": "<html>"}), None, "policy"),
    ],
)
def test_first_contact(hosts: FakeHosts, policy: StsPolicy | None, kind: str | None) -> None:
    async def use(world: World) -> None:
        assert await world.ask() == policy

    world = run(use, hosts)
    status = world.policies.status()
    assert status["answered_without"] == status["failing"] == ({kind: 1} if kind else {})
    assert [event["kind"] for event in world.alerted] == ([kind] if kind else [])


@pytest.mark.parametrize(
    "hosts", [FakeHosts(ids={"d.example": None}), FakeHosts(files={"d.example": None})]
)
def test_a_failure_is_told_once_an_hour_and_asked_again_beside_the_answer(
    hosts: FakeHosts,
) -> None:
    """What is back is found by the question after the next, and nobody waits for it."""

    async def use(world: World) -> None:
        for _ in range(3):
            assert await world.ask() is None
        assert hosts.looked == ["d.example"]
        for _ in range(12):  # one hour, as Postfix comes back
            world.after(300)
            assert await world.ask(seconds=0) is None
            await world.settle()
        assert len(hosts.looked) == 13
        assert len(world.alerted) == 2
        hosts.ids = {}
        world.after(300)
        assert await world.ask() is None
        await world.settle()
        hosts.ids = {"d.example": None}
        world.after(300)
        assert await world.ask() is None  # and again it fails, within the hour
        assert len(world.alerted) == 2
        hosts.ids, hosts.files = {"d.example": "1"}, {"d.example": ENFORCE}
        world.after(300)
        assert await world.ask(seconds=0) is None
        await world.settle()
        assert await world.ask() == POLICY
        assert world.policies.status()["failing"] == {}

    run(use, hosts)


def test_a_host_that_hangs_defers_the_first_attempt_only() -> None:
    async def use(world: World) -> None:
        hang = asyncio.Event()
        world.hosts.files["d.example"] = hang
        many = [asyncio.create_task(world.ask(seconds=HANGS)) for _ in range(20)]
        for one in await asyncio.gather(*many, return_exceptions=True):
            assert isinstance(one, Undecided)
        assert world.hosts.fetched == ["d.example"]
        for _ in range(4):
            world.hosts.files["d.example"] = None  # what the bound of a fetch makes of it
            hang.set()
            await world.settle()
            world.hosts.files["d.example"] = hang = asyncio.Event()
            world.after(HOUR)
            assert await world.ask(seconds=0) is None

    world = run(use)
    assert world.policies.status()["answered_undecided"] == 20


@pytest.mark.parametrize("where", ["ids", "files"])
def test_what_comes_late_is_there_at_the_next_attempt(where: str) -> None:
    async def use(world: World) -> None:
        late = asyncio.Event()
        getattr(world.hosts, where)["d.example"] = late
        with pytest.raises(Undecided, match=r"policy of d\.example is being fetched"):
            await world.ask(seconds=HANGS)
        if where == "files":
            world.hosts.files["d.example"] = ENFORCE
        late.set()
        await world.settle()
        found = await world.ask(seconds=0)
        assert found == (None if where == "ids" else POLICY)

    world = run(use)
    late = {"late": 1} if where == "ids" else {}
    assert world.policies.status()["answered_without"] == late


def test_a_known_policy_is_kept_whatever_fails_and_nobody_waits_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sts, "KNOWN_SECONDS", HANGS)

    async def use(world: World) -> None:
        assert await world.ask() == POLICY
        for broken in ({"ids": None}, {"ids": ""}, {"ids": "2", "files": None}):
            for name, value in broken.items():
                getattr(world.hosts, name)["d.example"] = value
            world.after(DAY)
            assert await world.ask() == POLICY
        world.hosts.files["d.example"] = hang = asyncio.Event()
        world.after(DAY)
        assert await world.ask() == POLICY
        world.after(POLICY.max_age - 4 * DAY)
        assert await world.ask() == POLICY
        world.hosts.files["d.example"] = None
        hang.set()
        await world.settle()
        world.after(1)
        assert await world.ask(seconds=0) is None  # over, and failing

    run(use)


@pytest.mark.parametrize("mode", ["testing", "none"])
def test_another_mode_takes_the_place_of_enforce(mode: str) -> None:
    async def use(world: World) -> None:
        assert await world.ask() == POLICY
        world.hosts.ids["d.example"] = "2"
        world.hosts.files["d.example"] = ENFORCE.replace("enforce", mode)
        assert await world.ask() == POLICY  # asked a moment ago
        world.after(sts.RECHECK_SECONDS)
        found = await world.ask()
        assert found is not None
        assert found.mode == mode
        assert world.policies.status()["policies"] == {mode: 1}

    run(use)


def test_the_same_id_extends_a_policy_in_force_and_one_that_is_over_is_fetched() -> None:
    async def use(world: World) -> None:
        await world.ask()
        for _ in range(3):
            world.after(POLICY.max_age - 1)
            assert await world.ask() == POLICY
        assert len(world.hosts.fetched) == 1
        world.after(POLICY.max_age + 1)
        assert await world.ask() == POLICY
        assert len(world.hosts.fetched) == 2

    run(use)


def test_overload_defers_those_without_a_policy_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sts, "FETCHES_WAITING", 1 - sts.FETCHES_AT_ONCE)
    hang = asyncio.Event()
    ids = dict.fromkeys(["known.example", "hangs.example", "new.example", "bad.example"], "1")
    hosts = FakeHosts(ids, {"known.example": ENFORCE, "hangs.example": hang})

    async def use(world: World) -> None:
        assert await world.ask("known.example") == POLICY
        assert await world.ask("bad.example") is None
        with pytest.raises(Undecided, match="being fetched"):
            await world.ask("hangs.example", HANGS)
        with pytest.raises(Undecided, match="too many"):
            await world.ask("new.example")
        assert await world.ask("none.example") is None  # no fetch is needed
        monkeypatch.setattr(sts, "JOBS_LIMIT", 1)
        world.after(sts.RECHECK_SECONDS)
        with pytest.raises(Undecided, match="too many"):
            await world.ask("none.example")
        assert await world.ask("known.example") == POLICY
        assert await world.ask("bad.example") is None

    run(use, hosts)


class Defective(FakeHosts):
    async def fetch(self, domain: str) -> StsPolicy:
        raise RuntimeError("a defect")


def test_a_fault_of_the_helper_defers_and_is_told() -> None:
    async def use(world: World) -> None:
        for _ in range(2):
            with pytest.raises(Undecided):
                await world.ask()

    assert [event["event"] for event in run(use, Defective()).alerted] == ["alert", "alert"]


def test_failures_are_forgotten_at_last_and_the_oldest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sts, "CACHE_ENTRIES", 2)

    async def use(world: World) -> None:
        for name in ("a.example", "b.example", "c.example"):
            world.hosts.ids[name] = None
            assert await world.ask(name) is None
        assert world.policies.status()["failing"] == {"lookup": 2}
        world.after(sts.FAILURE_SECONDS)
        world.hosts.ids["c.example"] = "1"
        world.hosts.files["c.example"] = ENFORCE
        assert await world.ask("c.example") == POLICY

    run(use)


@pytest.mark.parametrize(
    ("max_age", "due"), [(600, 300), (86_400, 43_200), (864_000, 86_400), (31_557_600, 86_400)]
)
def test_policies_in_use_are_refreshed_in_time(max_age: int, due: int) -> None:
    hosts = FakeHosts(files={"d.example": ENFORCE.replace("864000", str(max_age))})

    async def use(world: World) -> None:
        await world.ask()
        (entry,) = (entry for _, entry in world.cache.in_force())
        assert due * 3 / 4 <= refresh_time("d.example", entry) - entry.fetched <= due
        world.after(due * 3 / 4 - 1)
        world.policies.refresh()
        await world.settle()
        assert len(hosts.looked) == 1
        world.after(due / 4 + 1)
        world.policies.refresh()
        await world.settle()
        assert len(hosts.looked) == 2
        assert entry.fetched == world.wall.now

    run(use, hosts)


def test_a_refresh_that_fails_is_tried_again_each_hour_and_told_before_the_end() -> None:
    async def use(world: World) -> None:
        await world.ask()
        world.hosts.ids["d.example"] = None
        alerts: list[dict[str, Any]] = []
        for hour in range(POLICY.max_age // 3600):
            world.after(HOUR)
            world.policies.refresh()
            await world.settle()
            if not alerts:
                alerts = [event for event in world.alerted if event["event"] == "alert"]
                told = hour + 1
        assert POLICY.max_age / 3600 - 24 <= told <= POLICY.max_age / 3600 - 22
        assert [event["what"] for event in alerts] == [
            "the MTA-STS policy of d.example ends in 23.0 h"
        ]
        assert 200 < len(world.hosts.looked) < 240
        assert sum(event["event"] == "alert" for event in world.alerted) == 1
        assert world.cache.get("d.example") is not None
        world.after(1)
        assert world.cache.get("d.example") is None

    run(use)


def test_policies_not_used_for_a_month_are_let_go_without_an_alert() -> None:
    hosts = FakeHosts(files={"d.example": ENFORCE.replace("864000", "31557600")})

    async def use(world: World) -> None:
        await world.ask()
        world.after(sts.USED_SECONDS)
        for _ in range(340):
            world.after(DAY)
            world.policies.refresh()
            await world.settle()
        assert len(hosts.looked) == 1
        assert not world.alerted

    run(use, hosts)


def test_refreshes_are_bounded_and_the_longest_overdue_come_first() -> None:
    names = [f"d{number}.example" for number in range(25)]
    hosts = FakeHosts(dict.fromkeys(names, "1"), dict.fromkeys(names, ENFORCE))

    async def use(world: World) -> None:
        for name in names:
            await world.ask(name)
            world.after(DAY)
        hosts.looked.clear()
        world.policies.refresh()
        await world.settle()
        assert len(hosts.looked) == sts.REFRESH_LIMIT
        in_force = [name for name, _ in world.cache.in_force()]
        assert set(hosts.looked) <= set(in_force)

    run(use, hosts)
