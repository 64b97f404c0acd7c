"""When a reload of Postfix is over: its old queue manager has gone, and there is a new one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tlsgate.generation import servers, sessions
from tlsgate.generation.manifest import Refused
from tlsgate.generation.paths import Paths
from tlsgate.generation.servers import OBEY_SECONDS, server_program


class Machine:
    """A process table that goes from state to state, one each time somebody waits."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.spool = root / "proc", root / "spool"
        (self.spool / "private").mkdir(parents=True)
        self.now = 0.0
        self.said: list[str] = []
        self.paths = Paths(run=root / "run")
        (self.paths.run / "sessions").mkdir(parents=True)
        self.ended: list[tuple[str, str]] = []
        self.states: list[Sequence[int]] = []
        monkeypatch.setattr(servers, "PROC", self.proc)
        monkeypatch.setattr(servers, "run", self._run)
        monkeypatch.setattr(sessions, "run", self._postmap)
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("time.sleep", self._sleep)

    def run(self, *states: Sequence[int]) -> None:
        """The ids of the queue managers, before the reload and after it."""
        self._show(states[0])
        self.states = list(states[1:])
        server_program("postfix").reload(self.paths)

    def _run(self, command: Sequence[str]) -> str:
        self.said.append(command[0])
        answers = {"tlsgate_generation": "new", "queue_directory": str(self.spool)}
        return answers.get(command[-1], "") + "\n"

    def _postmap(self, command: Sequence[str], *, text: str, silent: bool) -> str:
        assert command[0] == "postmap"
        assert silent
        self.ended.append((Path(command[-1].removeprefix("lmdb:")).name, text))
        return ""

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.states:
            self._show(self.states.pop(0))

    def _show(self, managers: Sequence[int]) -> None:
        names = {"1": "master", "15": "python3", **{str(number): "qmgr" for number in managers}}
        for old in self.proc.glob("*/comm"):
            old.unlink()
        for number, name in names.items():
            (self.proc / number).mkdir(parents=True, exist_ok=True)
            (self.proc / number / "comm").write_text(f"{name}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "states",
    [
        ([7], [7], [], [9]),
        ([7], [7], [7, 9], [9]),
        ([], [], [9]),
    ],
)
def test_it_is_over_with_a_new_queue_manager(machine: Machine, states: list[list[int]]) -> None:
    machine.run(*states)
    assert machine.states == []
    assert machine.said[:2] == ["postfix", "postconf"]


@pytest.mark.parametrize("states", [([7], [7]), ([7], []), ([],), ([7], [7, 9])])
def test_it_fails_without_one(machine: Machine, states: list[list[int]]) -> None:
    with pytest.raises(Refused, match="not loaded it within 5 s"):
        machine.run(*states)
    assert machine.now > OBEY_SECONDS
    assert machine.said == ["postfix"]


def test_sockets_of_generations_before_are_removed(machine: Machine) -> None:
    private = machine.spool / "private"
    for name in ("scache-smtp-old", "scache-smtp-new", "smtp"):
        (private / name).touch()
    machine.run([7], [9])
    assert {path.name for path in private.iterdir()} == {"scache-smtp-new", "smtp"}


def test_sessions_of_generations_before_are_ended(machine: Machine) -> None:
    folder = machine.paths.run / "sessions"
    for name in ("old.lmdb", "new.lmdb"):
        (folder / name).touch()
    machine.run([7], [9])
    ((table, entry),) = machine.ended
    assert table == "old"
    assert entry.startswith("recipient\t421 4.3.2 ")
    machine.run([9], [11])
    assert len(machine.ended) == 1  # once
    began = (folder / "old.ended").stat().st_mtime
    sessions.end_grace(machine.paths, began + sessions.GRACE_SECONDS - 1)
    assert len(machine.ended) == 1
    sessions.end_grace(machine.paths, began + sessions.GRACE_SECONDS)
    assert machine.ended[1][0] == "old"
    assert machine.ended[1][1].startswith("data\t421 4.3.2 ")
    assert {path.name for path in folder.iterdir()} == {"new.lmdb"}


def test_a_generation_that_is_in_force_again_has_a_new_table(machine: Machine) -> None:
    folder = machine.paths.run / "sessions"
    for name in ("old.lmdb", "new.lmdb"):
        (folder / name).touch()
    machine.run([7], [9])
    sessions.prepare(machine.paths, Path("generation"), "old")
    # The sessions of the first time get their last answer; then the table is created again.
    assert [(name, text.partition("\t")[0]) for name, text in machine.ended] == [
        ("old", "recipient"),
        ("old", "data"),
        ("old", ""),
    ]
    assert {path.name for path in folder.iterdir()} == {"new.lmdb"}  # postmap(1) is a stand-in
