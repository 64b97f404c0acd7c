"""Frees ports that no process serves after a reload of Postfix.

A reload ends every idle smtpd(8). One that takes a connection in that very moment goes on, and
cannot tell the master process, which counts it as free until it ends: as long as that one session
lasts, no process is started for the port (Postfix 3.10, master_avail.c). A client that connects
all the time can cause it. So the watcher looks at the connections that wait for a process. If some
do for long although there is room for one more, the processes that are older than the reload are
ended. Their peers try again.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tlsgate.generation.command import run
from tlsgate.generation.paths import Paths

SERVICES: Mapping[int, str] = {25: "smtp", 2525: "2525"}
"""Port → its service in master.cf."""
LOOKS = 4
"""In a row, a second apart, in which connections wait."""
PROC = Path("/proc")
_LISTENS = "0A"


class Listeners:
    """`check` must be called every second."""

    def __init__(self) -> None:
        self._waiting: Counter[int] = Counter()

    def check(self, paths: Paths) -> None:
        """Ends the older processes if a port is silent. Raises Refused."""
        ports = silent_ports()
        for port, service in SERVICES.items():
            self._waiting[port] = self._waiting[port] + 1 if port in ports else 0
            if self._waiting[port] >= LOOKS:
                self._waiting[port] = 0
                _end_old(paths, service)


def silent_ports() -> set[int]:
    """The ports at which a connection waits for a process (proc_net_tcp.rst of Linux)."""
    found = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):  # no IPv6 here
            for line in (PROC / "net" / name).read_text().splitlines()[1:]:
                _, local, _, state, queues, *_ = line.split()
                # Of a socket that listens, the second one is its connections that wait.
                if state == _LISTENS and int(queues.partition(":")[2], 16):
                    found.add(int(local.rpartition(":")[2], 16))
    return found


def _end_old(paths: Paths, service: str) -> None:
    limit = ["postconf", "-c", str(paths.active), "-hF", f"{service}/inet/process_limit"]
    processes = _started(b"smtpd", b"-n", service.encode())
    # With all in use it is silent by itself.
    if len(processes) >= int(run(limit)):
        return
    # The queue manager is among the first that a reload starts.
    reloaded = max(_started(b"qmgr").values(), default=0)
    for process, started in processes.items():
        if started <= reloaded:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)


def _started(*command: bytes) -> dict[int, int]:
    """Process id → when it was started, in ticks, of those whose command begins so."""
    found = {}
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):  # a process that has ended since
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if tuple(words[: len(command)]) == command:
                after_name = (folder / "stat").read_text().rpartition(")")[2]
                found[int(folder.name)] = int(after_name.split()[19])
    return found
