"""State files: whole after any crash, strict, versioned; a damaged file is never an empty one."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tlsgate import state
from tlsgate.record import Count, Record, Time
from tlsgate.state import Damaged, StateFault, StateFile, StateMap, unchanged

Capture = pytest.CaptureFixture[str]
LOSS = "Everything is requested again."
AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
per_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class Entry(Record, frozen=True):
    """As a state file might have it."""

    at: Time
    names: tuple[str, ...] = ()
    count: Count = 0


ENTRY = Entry(AT, ("a.example",), 3)
OTHER = Entry(AT)
VALUES = {"at": "2026-11-27T12:00:00Z", "names": ["a.example"], "count": 3}


def entries(folder: Path) -> StateMap[Entry]:
    return StateMap(folder / "entries.json", Entry, loss=LOSS)


def alerts(capsys: Capture) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line["event"] == "alert" for line in lines)
    return lines


def test_what_is_written_is_read_by_the_next_process(tmp_path: Path) -> None:
    assert entries(tmp_path).load() is None
    entries(tmp_path).put("a", ENTRY)
    entries(tmp_path).put("b", OTHER)
    assert entries(tmp_path).all() == {"a": ENTRY, "b": OTHER}
    entries(tmp_path).put("a", None)
    assert entries(tmp_path).get("a") is None
    assert entries(tmp_path).get("b") == OTHER


def test_the_file_is_one_line_with_its_version(tmp_path: Path) -> None:
    entries(tmp_path).put("a", ENTRY)
    content = (tmp_path / "entries.json").read_text()
    assert content.count("\n") == 1
    assert json.loads(content) == {"version": 1, "data": {"a": VALUES}}


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_file_has_its_mode(tmp_path: Path, mode: int) -> None:
    file = StateFile(tmp_path / "one.json", Entry, loss=LOSS, mode=mode)
    file.write(ENTRY)
    assert file.path.stat().st_mode & 0o777 == mode
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]


def test_the_same_is_not_written_again(tmp_path: Path) -> None:
    entries(tmp_path).put("a", ENTRY)
    before = (tmp_path / "entries.json").stat().st_ino
    entries(tmp_path).put("a", ENTRY)
    entries(tmp_path).put("b", None)
    assert (tmp_path / "entries.json").stat().st_ino == before


def test_nothing_is_made_where_nothing_is_removed(tmp_path: Path) -> None:
    entries(tmp_path).put("a", None)
    assert list(tmp_path.iterdir()) == []


# What tlsgate wrote before there were versions, and with which the current type agrees.
@pytest.mark.parametrize(
    "content",
    [
        {},
        {"a": VALUES},
        {"a": {**VALUES, "at": "2026-11-27T13:00:00.000000+01:00"}},
        {"version": VALUES},
        {"version": VALUES, "data": VALUES},
    ],
)
def test_a_file_without_a_version_is_read(tmp_path: Path, content: Any, capsys: Capture) -> None:
    path = tmp_path / "entries.json"
    path.write_text(json.dumps(content) + "\n")
    assert entries(tmp_path).all() == dict.fromkeys(content, ENTRY)
    entries(tmp_path).put("b", OTHER)
    assert json.loads(path.read_text())["version"] == 1
    assert entries(tmp_path).all() == {**dict.fromkeys(content, ENTRY), "b": OTHER}
    assert alerts(capsys) == []


def renamed(data: Any) -> Any:
    return [{"name": one["title"]} for one in data]


def wrapped(data: Any) -> Any:
    return {one["name"]: len(one["name"]) for one in data}


@pytest.mark.parametrize(
    "content",
    [
        [{"title": "ab"}],
        {"version": 1, "data": [{"title": "ab"}]},
        {"version": 2, "data": [{"name": "ab"}]},
        {"version": 3, "data": {"ab": 2}},
    ],
)
def test_every_older_version_is_migrated(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "lengths.json"
    path.write_text(json.dumps(content))
    steps = (unchanged, renamed, wrapped)
    file = StateMap(path, int, loss=LOSS, migrations=steps)
    assert file.all() == {"ab": 2}
    file.put("c", 1)
    assert json.loads(path.read_text()) == {"version": 3, "data": {"ab": 2, "c": 1}}


def test_a_migration_that_cannot_go_on_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "lengths.json"
    path.write_text('[{"name": 1}]')
    file = StateMap(path, int, loss=LOSS, migrations=(unchanged, renamed, wrapped))
    with pytest.raises(Damaged, match="title"):
        file.read()


def test_a_newer_version_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "entries.json"
    path.write_text('{"version": 2, "data": {"a": "what only a newer tlsgate knows"}}')
    before = path.read_bytes()
    for use in (
        entries(tmp_path).read,
        entries(tmp_path).load,
        lambda: entries(tmp_path).put("a", ENTRY),
    ):
        with pytest.raises(StateFault, match=r"entries\.json has version 2, .* versions up to 1:"):
            use()
    assert path.read_bytes() == before
    assert alerts(capsys) == []


DAMAGE = [
    "",
    "{",
    "null",
    "[]",
    '"text"',
    "\xff",
    '{"a": 1}',
    '{"a": null}',
    '{"a": {}}',
    '{"a": {"at": "yesterday"}}',
    '{"a": {"at": "2026-11-27T12:00:00"}}',
    '{"a": {"at": "2026-11-27T12:00:00Z", "count": -1}}',
    '{"a": {"at": "2026-11-27T12:00:00Z", "count": true}}',
    '{"a": {"at": "2026-11-27T12:00:00Z", "count": "3"}}',
    '{"a": {"at": "2026-11-27T12:00:00Z", "names": "a.example"}}',
    '{"a": {"at": "2026-11-27T12:00:00Z", "more": 1}}',
    '{"version": 1}',
    '{"version": 0, "data": {}}',
    '{"version": -1, "data": {}}',
    '{"version": 1, "data": {}, "more": 1}',
    '{"version": 1, "data": []}',
    '{"version": true, "data": {}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("content", DAMAGE, ids=lambda content: content[:40] or "empty")
def test_a_damaged_file_is_renamed_and_reported(
    tmp_path: Path, content: str, capsys: Capture
) -> None:
    path = tmp_path / "entries.json"
    path.write_text(content, "latin-1")
    with pytest.raises(Damaged, match=r"entries\.json is damaged: ."):
        entries(tmp_path).read()
    assert path.exists()
    assert entries(tmp_path).load() is None
    assert not path.exists()
    (aside,) = tmp_path.glob("entries.json.damaged-*")
    assert aside.read_text("latin-1") == content
    (alert,) = alerts(capsys)
    assert alert["what"] == f"the state file {path} was damaged"
    assert alert["reason"]
    assert alert["next"] == f"It was renamed to {aside.name}. {LOSS}"
    assert entries(tmp_path).load() is None
    assert alerts(capsys) == []


def test_a_change_of_a_damaged_file_sets_it_aside_too(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "entries.json").write_text("{")
    entries(tmp_path).put("a", ENTRY)
    assert entries(tmp_path).all() == {"a": ENTRY}
    assert len(list(tmp_path.glob("entries.json.damaged-*"))) == len(alerts(capsys)) == 1


def test_no_damaged_file_takes_the_place_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Frozen:
            return cls(2026, 11, 27, 12, tzinfo=tz)

    monkeypatch.setattr(state, "datetime", Frozen)
    for content in ("{", "[", "("):
        (tmp_path / "entries.json").write_text(content)
        assert entries(tmp_path).load() is None
    aside = {path.name: path.read_text() for path in tmp_path.glob("entries.json.damaged-*")}
    name = "entries.json.damaged-20261127T120000Z"
    assert aside == {name: "{", f"{name}-2": "[", f"{name}-3": "("}


@pytest.mark.parametrize("error", [errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOTDIR])
def test_what_cannot_be_read_is_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """The defect before: any OSError counted as empty, and the next write lost the others."""
    entries(tmp_path).put("a", ENTRY)

    def fails(_path: Path) -> bytes:
        raise OSError(error, os.strerror(error))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
        for use in (
            entries(tmp_path).read,
            entries(tmp_path).load,
            lambda: entries(tmp_path).get("a"),
            lambda: entries(tmp_path).put("b", OTHER),
        ):
            with pytest.raises(OSError) as caught:
                use()
            assert caught.value.errno == error
    entries(tmp_path).put("b", OTHER)
    assert entries(tmp_path).all() == {"a": ENTRY, "b": OTHER}


def test_damage_that_cannot_be_set_aside_is_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    path = tmp_path / "entries.json"
    path.write_text("{")

    def fails(_path: Path, _target: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Read-only"):
        entries(tmp_path).load()
    with pytest.raises(OSError, match="Read-only"):
        entries(tmp_path).put("a", ENTRY)
    assert path.read_text() == "{"
    assert alerts(capsys) == []


class Killed(BaseException):
    """The process ends here."""


STEPS: list[tuple[Any, str]] = [
    (os, "open"),
    (os, "fsync"),
    (Path, "replace"),
    (Path, "unlink"),
]


@pytest.mark.parametrize(("where", "name"), STEPS, ids=[name for _, name in STEPS])
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("call", [1, 2])
def test_a_crash_leaves_the_old_content_or_the_new(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    where: Any,
    name: str,
    done: bool,
    call: int,
) -> None:
    """Before and after each step of a write."""
    entries(tmp_path).put("a", ENTRY)
    real, calls = getattr(where, name), [0]

    def dies(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] != call:
            return real(*arguments, **more)
        if done:
            real(*arguments, **more)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(where, name, dies)
        try:
            entries(tmp_path).put("b", OTHER)
        except Killed:
            pass
        else:
            assert calls[0] < call
    assert entries(tmp_path).all() in ({"a": ENTRY}, {"a": ENTRY, "b": OTHER})
    entries(tmp_path).put("c", OTHER)
    assert {"a", "c"} <= entries(tmp_path).all().keys()
    assert not list(tmp_path.glob("*damaged*"))


def test_the_new_content_is_on_the_disk_before_it_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def noted(where: Any, name: str) -> Callable[..., Any]:
        real = getattr(where, name)

        def call(*arguments: Any, **more: Any) -> Any:
            steps.append(name)
            return real(*arguments, **more)

        return call

    for where, name in ((os, "fsync"), (Path, "replace")):
        monkeypatch.setattr(where, name, noted(where, name))
    entries(tmp_path).put("a", ENTRY)
    assert steps == ["fsync", "replace", "fsync"]


def add(folder: Path, process: int, count: int) -> None:
    for number in range(count):
        entries(folder).put(f"{process}-{number}", OTHER)


def test_several_processes_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add, args=(tmp_path, one, 20)) for one in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(entries(tmp_path).all()) == 60


ANY_TEXT = st.text(st.characters(exclude_categories=()))
"""Lone surrogates too: JSON from others may contain them."""
TIMES = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))
ENTRIES = st.builds(
    Entry, at=TIMES, names=st.lists(ANY_TEXT).map(tuple), count=st.integers(0, 2**53)
)


@per_example
@given(st.dictionaries(ANY_TEXT, ENTRIES))
def test_whatever_is_encoded_is_decoded(tmp_path: Path, data: dict[str, Entry]) -> None:
    file = entries(tmp_path)
    assert file.decode(file.encode(data)) == data
    before_versions = json.dumps(msgspec.to_builtins(data)).encode()
    assert file.decode(before_versions) == data


@per_example
@given(
    st.dictionaries(st.text(max_size=5), ENTRIES, min_size=1, max_size=3),
    st.data(),
)
def test_altered_bytes_are_read_or_refused(
    tmp_path: Path, data: dict[str, Entry], draw: st.DataObject
) -> None:
    """Never anything but entries of the type, Damaged, or a version that is too new."""
    file = entries(tmp_path)
    content = bytearray(file.encode(data))
    for _ in range(draw.draw(st.integers(1, 3))):
        content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(content[: draw.draw(st.integers(0, len(content)))])
    try:
        found = file.decode(cut)
    except StateFault:
        return
    assert all(type(one) is Entry and one.at.tzinfo and one.count >= 0 for one in found.values())


@per_example
@given(st.binary())
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    try:
        found = entries(tmp_path).decode(content)
    except StateFault:
        return
    assert all(type(one) is Entry for one in found.values())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | ENTRIES), max_size=12))
def test_a_map_behaves_as_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, Entry | None]]
) -> None:
    folder, model = tmp_path_factory.mktemp("state"), dict[str, Entry]()
    for name, entry in changes:
        entries(folder).put(name, entry)
        if entry is None:
            model.pop(name, None)
        else:
            model[name] = entry
        assert entries(folder).all() == model
