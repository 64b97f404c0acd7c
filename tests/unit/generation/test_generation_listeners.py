"""When a port is silent after a reload, and which processes are ended then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tlsgate.generation import listeners
from tlsgate.generation.listeners import LOOKS, Listeners
from tlsgate.generation.paths import Paths

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n"
WAITS = f"{_HEAD}   1: 00000000:0019 00000000:0000 0A 00000000:00000004 00:00000000 00000000\n"
"""Four connections to port 25."""
NOBODY = WAITS.replace("00000004", "00000000")
BUSY = WAITS.replace(" 0A ", " 01 ")
"""A connection with unread octets is not one that waits."""
SMTPD, INTERNAL, QMGR = "smtpd -n smtp -t inet", "smtpd -n 2525 -t inet", "qmgr -l"
PROCESSES = {7: (SMTPD, 100), 8: (SMTPD, 300), 9: (INTERNAL, 100), 10: (QMGR, 200)}
"""Id → command and start; 200 is the reload."""


@pytest.fixture
def ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    killed: list[int] = []
    for number, (command, started) in PROCESSES.items():
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "cmdline").write_text(command.replace(" ", "\0") + "\0")
        (folder / "stat").write_text(f"{number} (a ) b) S {'0 ' * 18}{started} 0\n")
    (tmp_path / "net").mkdir()
    monkeypatch.setattr(listeners, "PROC", tmp_path)
    monkeypatch.setattr("os.kill", lambda process, _signal: killed.append(process))
    return killed


@pytest.mark.parametrize(
    ("looks", "limit", "expected"),
    [
        ([WAITS] * LOOKS, 300, [7]),
        ([WAITS] * (LOOKS - 1), 300, []),
        ([*[WAITS] * (LOOKS - 1), NOBODY, WAITS], 300, []),
        ([NOBODY] * LOOKS, 300, []),
        ([BUSY] * LOOKS, 300, []),
        ([WAITS] * LOOKS, 2, []),
        ([WAITS.replace(":0019", ":09DD")] * LOOKS, 300, [9]),
        ([WAITS.replace(":0019", ":0050")] * LOOKS, 300, []),
    ],
)
def test_only_processes_of_before_are_ended_and_only_for_a_silent_port(
    ended: list[int],
    monkeypatch: pytest.MonkeyPatch,
    looks: Sequence[str],
    limit: int,
    expected: list[int],
) -> None:
    monkeypatch.setattr(listeners, "run", lambda _command: f"{limit}\n")
    watched = Listeners()
    for table in looks:
        (listeners.PROC / "net" / "tcp").write_text(table)
        watched.check(Paths())
    assert ended == expected
