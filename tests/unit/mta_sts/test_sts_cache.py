"""Policies outlive the helper, a damaged file, a full disk and a clock that jumps."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_clock import FakeClock
from tests.unit.mta_sts.fake_sts import ENFORCE, NOW
from tlsgate.mta_sts import cache as sts_cache
from tlsgate.mta_sts.cache import USED_STEP_SECONDS, PolicyCache
from tlsgate.mta_sts.cache_file import DAMAGED, FILE, PolicyFile
from tlsgate.mta_sts.policy import StsPolicy, parse_policy

POLICY = parse_policy(ENFORCE)
OTHER = StsPolicy("testing", ("mx2.example", "*.mail.example"), 86_400)


class Disk:
    """A folder, the alerts about it, and caches over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / FILE
        self.clock = FakeClock(NOW)
        self.alerts: list[str] = []

    def cache(self) -> PolicyCache:
        return PolicyCache(PolicyFile(self.folder, self._report), self.clock)

    def _report(self, event: str, **fields: Any) -> None:
        assert event == "alert"
        self.alerts.append(fields["what"])

    def domains(self) -> set[str]:
        with closing(sqlite3.connect(self.file)) as connection:
            return {name for (name,) in connection.execute("SELECT domain FROM policy")}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def known(cache: PolicyCache) -> dict[str, tuple[str, StsPolicy, float]]:
    return {
        domain: (entry.policy_id, entry.policy, entry.fetched) for domain, entry in cache.in_force()
    }


def test_policies_outlive_the_helper(disk: Disk) -> None:
    first = disk.cache()
    first.put("a.example", "1", POLICY, NOW)
    first.put("b.example", "2", OTHER, NOW)
    assert first.write()
    first.put("a.example", "3", OTHER, NOW + 5)
    disk.clock.now += 10
    first.confirm("b.example", NOW + 10)
    assert first.write()
    second = disk.cache()
    assert known(second) == known(first)
    assert known(second)["a.example"] == ("3", OTHER, NOW + 5)
    assert known(second)["b.example"] == ("2", OTHER, NOW + 10)
    disk.clock.now += OTHER.max_age
    assert set(known(disk.cache())) == {"b.example"}
    assert not disk.alerts


def test_they_are_written_while_the_loop_answers(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sts_cache, "WRITE_SECONDS", 0)

    async def run() -> None:
        cache = disk.cache()
        cache.put("a.example", "1", POLICY, NOW)
        keeper = asyncio.create_task(cache.keep())
        async with asyncio.timeout(5):
            while "a.example" not in disk.domains():
                await asyncio.sleep(0)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)

    asyncio.run(run())


KILLED = """
import os, signal, sqlite3, sys, pathlib
from tlsgate.mta_sts.cache_file import PolicyFile, Row
file = PolicyFile(pathlib.Path(sys.argv[1]))
file.load()
file.write({"a.example": Row("a.example", "1", "enforce", "mx1.example", 9, 1.0, 1.0)})
connection = sqlite3.connect(pathlib.Path(sys.argv[1]) / "mta-sts.sqlite", isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
for number in range(2000):  # more than fits in memory: the file itself is changed
    connection.execute(
        "INSERT INTO policy VALUES (?, '1', 'enforce', 'mx1.example', 9, 1.0, 1.0)", (str(number),)
    )
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_helper_killed_within_a_write_leaves_what_was_written_before(disk: Disk) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(disk.folder)], check=False, cwd=Path.cwd())
    assert (disk.folder / f"{FILE}-journal").exists()
    assert [row.domain for row in PolicyFile(disk.folder).load()] == ["a.example"]


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4096)


def _sql(text: str) -> Any:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(text)

    return change


@pytest.mark.parametrize(
    "damage",
    [
        _garbage,
        _cut,
        _sql("PRAGMA user_version = 2"),
        _sql("PRAGMA user_version = 0"),
        _sql("UPDATE policy SET mx = 'mx.example match=.evil.example'"),
        _sql("UPDATE policy SET mx = 'mx.example}'"),
        _sql("UPDATE policy SET mx = x'00ff'"),
        _sql("UPDATE policy SET mode = 'open'"),
        _sql("UPDATE policy SET id = 'a b'"),
        _sql("UPDATE policy SET max_age = 'long'"),
        _sql("UPDATE policy SET max_age = 1e300"),
        _sql("UPDATE policy SET fetched = 'now'"),
        _sql("UPDATE policy SET fetched = 9e999"),
        _sql("UPDATE policy SET domain = x'00'"),
    ],
)
def test_a_damaged_file_is_put_aside(disk: Disk, damage: Any) -> None:
    before = disk.cache()
    before.put("a.example", "1", POLICY, NOW)
    before.write()
    damage(disk.file)
    cache = disk.cache()
    assert known(cache) == {}
    assert disk.alerts == [f"the MTA-STS policies start empty; the damaged file is {DAMAGED}"]
    assert (disk.folder / DAMAGED).exists()
    cache.put("b.example", "1", POLICY, NOW)
    cache.write()
    cache.write()
    assert set(known(disk.cache())) == {"b.example"}
    assert len(disk.alerts) == 1


@pytest.mark.parametrize("damage", [_garbage, Path.unlink])
def test_a_file_that_is_lost_meanwhile_is_written_anew_as_a_whole(disk: Disk, damage: Any) -> None:
    cache = disk.cache()
    cache.put("a.example", "1", POLICY, NOW)
    cache.write()
    damage(disk.file)
    cache.put("b.example", "1", POLICY, NOW)
    while not cache.write():
        pass
    assert disk.domains() == {"a.example", "b.example"}


def test_a_disk_that_takes_nothing_stops_no_answer(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = disk.cache()
    cache.put("a.example", "1", POLICY, NOW)
    real = sqlite3.connect

    def full(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sqlite3, "connect", full)
    for _ in range(3):
        assert not cache.write()
    assert disk.alerts == ["policies of MTA-STS cannot be written"] == [cache.fault]
    assert set(known(cache)) == {"a.example"}
    assert known(disk.cache()) == {}
    monkeypatch.setattr(sqlite3, "connect", real)
    assert cache.write()
    assert cache.fault == ""
    assert set(known(disk.cache())) == {"a.example"}


def test_a_folder_that_is_not_there_stops_no_answer(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "none")
    cache = disk.cache()
    cache.put("a.example", "1", POLICY, NOW)
    assert not cache.write()
    assert set(known(cache)) == {"a.example"}


def test_the_least_recently_used_goes_and_leaves_the_disk(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sts_cache, "CACHE_ENTRIES", 2)
    cache = disk.cache()
    for number, name in enumerate(("a.example", "b.example")):
        cache.put(name, "1", POLICY, NOW + number)
    cache.write()
    disk.clock.now += 2 * USED_STEP_SECONDS
    cache.use("a.example")
    cache.put("b.example", "2", POLICY, disk.clock.now)  # a refresh is no use
    cache.put("c.example", "1", POLICY, disk.clock.now)
    cache.write()
    assert disk.domains() == {"a.example", "c.example"}
    again = disk.cache()
    again.put("d.example", "1", POLICY, disk.clock.now)
    assert "b.example" not in known(again)
    assert len(known(again)) == 2


def test_memory_is_bounded_whatever_the_policies_length(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sts_cache, "CACHE_OCTETS", 12_000)
    long = StsPolicy("enforce", tuple(f"m{n}.{'a' * 50}.example" for n in range(20)), 86_400)
    cache = disk.cache()
    for number in range(10):
        cache.put(f"d{number}.example", "1", long, NOW)
    assert list(known(cache)) == ["d7.example", "d8.example", "d9.example"]


@pytest.mark.parametrize(("back", "left"), [(1, 864_000), (10**9, 864_000), (-1000, 863_000)])
def test_a_time_in_the_future_counts_as_now(disk: Disk, back: int, left: int) -> None:
    """On the disk and in memory: a clock that was put back makes no policy last longer."""
    cache = disk.cache()
    cache.put("a.example", "1", POLICY, NOW)
    cache.write()
    disk.clock.now -= back
    for one in (cache, disk.cache()):
        entry = one.get("a.example")
        assert entry is not None
        assert entry.ends - disk.clock.now == left


def test_a_clock_that_goes_wrong_for_a_while_deletes_nothing(disk: Disk) -> None:
    cache = disk.cache()
    cache.put("a.example", "1", POLICY, NOW)
    cache.write()
    disk.clock.now += 10**9
    assert cache.use("a.example") is None
    ahead = disk.cache()
    assert known(ahead) == {}
    ahead.write()
    disk.clock.now -= 10**9
    assert set(known(disk.cache())) == {"a.example"}
