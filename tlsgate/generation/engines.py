"""What differs between Postfix and nginx: compiling, checking, reloading and asking for life."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tlsgate.generation import needs
from tlsgate.generation.files import Paths
from tlsgate.generation.manifest import COMPILED, Refused

COMMAND_SECONDS = 60
OBEY_SECONDS = 5.0
"""As long Postfix may take to obey a reload before it is told again; below HEARTBEAT_SECONDS."""

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Engine:
    """One server program.

    `prepare(directory, sources)` compiles and checks a generation in the making, seen by the
    program at its place in force. `check(paths)` asks the program about the files in force;
    `reload(paths)` makes it read them. All raise Refused. `port` is where it answers.
    """

    kind: str
    prepare: Callable[[Path, Mapping[str, bytes]], None]
    check: Callable[[Paths], None]
    reload: Callable[[Paths], None]
    port: int


def engine(kind: str) -> Engine:
    """The engine of this kind, one of `needs.KINDS`."""
    if kind == needs.POSTFIX:
        return Engine(kind, _prepare_postfix, lambda _paths: None, _reload_postfix, 25)
    return Engine(kind, _prepare_nginx, _check_nginx, _reload_nginx, 80)


def _prepare_postfix(directory: Path, sources: Mapping[str, bytes]) -> None:
    tables = needs.tables(sources)
    # postmap warns of a line that it drops, and ends well all the same: a warning is a refusal.
    for name, kind in tables.items():
        if kind == "lmdb":
            _run(["postmap", "-c", str(directory), f"lmdb:{directory / name}"], silent=True)
            (directory / f"{name}{COMPILED}").chmod(0o644)
        _query(directory, kind, name, sources[name])
    # postconf warns of a parameter that nothing reads: a misspelt one would be ignored.
    _run(["postconf", "-c", str(directory), "-n"], silent=True)
    _run(["postconf", "-c", str(directory), "-M"], silent=True)


def _query(directory: Path, kind: str, name: str, source: bytes) -> None:
    """Asks a table for keys of its own; for one that is not compiled, this parses all of it."""
    lines = [line.split(None, 1) for line in source.decode().splitlines() if line.strip()]
    if kind == "lmdb":
        for key, value in (lines[i] for i in {0, len(lines) // 2, len(lines) - 1} if lines):
            answer = _run(["postmap", "-q", key, f"lmdb:{directory / name}"], silent=True)
            if answer.strip() != value.strip():
                raise Refused(f"{name}: key {key} gives {answer.strip()!r}, not {value.strip()!r}")
        return
    key = lines[0][0].partition("/")[0] if kind == "cidr" and lines else "192.0.2.1"
    _run(["postmap", "-q", key, f"{kind}:{directory / name}"], silent=True, codes=(0, 1))


def _reload_postfix(paths: Paths) -> None:
    before = _queue_managers()
    _run(["postfix", "-c", str(paths.active), "reload"])
    # The signal is sent, not yet obeyed, and until it is, mail goes out by the policy before.
    # The master process lets go of every old process first, and then starts a queue manager.
    deadline = time.monotonic() + OBEY_SECONDS
    while not (now := _queue_managers()) or now & before:
        if time.monotonic() > deadline:
            raise Refused(f"Postfix has not taken it up within {OBEY_SECONDS:.0f} s")
        time.sleep(0.02)
    _remove_old_connection_caches(paths)


def _queue_managers() -> set[str]:
    """The process ids of Postfix's qmgr(8): one, but for the moment of a reload."""
    found = set()
    for file in PROC.glob("[0-9]*/comm"):
        with suppress(OSError):  # a process that has ended since
            if file.read_text() == "qmgr\n":
                found.add(file.parent.name)
    return found


def _remove_old_connection_caches(paths: Paths) -> None:
    """Postfix leaves the sockets of services that it no longer has, one for each generation."""
    names = ("connection_cache_service_name", "queue_directory")
    cache, spool = _run(["postconf", "-c", str(paths.active), "-hx", *names]).split()
    for socket_file in Path(spool, "private").glob("scache-*"):
        if socket_file.name != cache:
            socket_file.unlink(missing_ok=True)


def _prepare_nginx(directory: Path, sources: Mapping[str, bytes]) -> None:
    needs.certificates(needs.NGINX, sources)
    _run(["nginx", "-t", "-q", "-c", str(directory / "nginx.conf")])


def _check_nginx(paths: Paths) -> None:
    _run(["nginx", "-t", "-q", "-c", str(paths.active / "nginx.conf")])


def _reload_nginx(paths: Paths) -> None:
    try:
        os.kill(int((paths.run / "nginx.pid").read_text()), signal.SIGHUP)
    except (OSError, ValueError) as fault:
        raise Refused(f"nginx cannot be told to reload: {fault}") from fault


def _run(command: Sequence[str], *, silent: bool = False, codes: Sequence[int] = (0,)) -> str:
    """Standard output of the command. Raises Refused if it fails or, `silent`, if it warns."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise Refused(f"{' '.join(command[:3])}: {fault}") from fault
    if done.returncode not in codes or (silent and done.stderr):
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[:5])
        raise Refused(f"{command[0]} says: {said or f'exit code {done.returncode}'}")
    return done.stdout


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether the server answers; from an SMTP server a greeting is expected."""
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            if port != 25:
                return True
            greeting = connection.recv(512)
            connection.sendall(b"QUIT\r\n")
            return greeting.startswith(b"220 ")
    except OSError:
        return False
