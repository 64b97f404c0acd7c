"""What differs between Postfix and nginx: compiling, checking, reloading and the health check."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tlsgate.generation import requirements, sessions
from tlsgate.generation.command import run
from tlsgate.generation.listeners import Listeners
from tlsgate.generation.manifest import COMPILED, Refused
from tlsgate.generation.paths import Paths

OBEY_SECONDS = 5.0
"""How long Postfix may take to obey a reload before it is asked again; below HEARTBEAT_SECONDS."""

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """One server program.

    `prepare(directory, sources)` compiles and checks a generation in the making, seen by the
    program at its place in force. `stage(paths, directory)` makes what one needs beside its files,
    before it is switched to. `check(paths)` asks the program about the files in force;
    `reload(paths)` makes it read them; `tidy(paths)`, called every second, ends what a reload left
    behind. All raise Refused. `port` is where it answers.
    """

    kind: str
    prepare: Callable[[Path, Mapping[str, bytes]], None]
    stage: Callable[[Paths, Path], None]
    check: Callable[[Paths], None]
    reload: Callable[[Paths], None]
    tidy: Callable[[Paths], None]
    port: int


def server_program(kind: str) -> ServerProgram:
    """The server program of this kind, one of `requirements.KINDS`."""
    if kind == requirements.POSTFIX:
        listeners = Listeners()

        def tidy(paths: Paths) -> None:
            sessions.end_grace(paths)
            listeners.check(paths)

        return ServerProgram(
            kind,
            _prepare_postfix,
            _stage_postfix,
            _nothing,
            _reload_postfix,
            tidy,
            25,
        )
    return ServerProgram(kind, _prepare_nginx, _nothing, _check_nginx, _reload_nginx, _nothing, 80)


def _nothing(*_paths: object) -> None:
    """For a step that this program does not need."""


def _prepare_postfix(directory: Path, sources: Mapping[str, bytes]) -> None:
    tables = requirements.tables(sources)
    # postmap warns of a line that it drops, and still exits with 0: a warning is a refusal.
    for name, kind in tables.items():
        if kind == "lmdb":
            run(["postmap", "-c", str(directory), f"lmdb:{directory / name}"], silent=True)
            (directory / f"{name}{COMPILED}").chmod(0o644)
        _query(directory, kind, name, sources[name])
    # postconf warns of a parameter that nothing reads: a misspelt one would be ignored.
    run(["postconf", "-c", str(directory), "-n"], silent=True)
    run(["postconf", "-c", str(directory), "-M"], silent=True)


def _query(directory: Path, kind: str, name: str, source: bytes) -> None:
    """Asks a table for keys of its own; for one that is not compiled, this parses all of it."""
    lines = [line.split(None, 1) for line in source.decode().splitlines() if line.strip()]
    if kind == "lmdb":
        for key, value in (lines[i] for i in {0, len(lines) // 2, len(lines) - 1} if lines):
            answer = run(["postmap", "-q", key, f"lmdb:{directory / name}"], silent=True)
            if answer.strip() != value.strip():
                raise Refused(f"{name}: key {key} gives {answer.strip()!r}, not {value.strip()!r}")
        return
    key = lines[0][0].partition("/")[0] if kind == "cidr" and lines else "192.0.2.1"
    run(["postmap", "-q", key, f"{kind}:{directory / name}"], silent=True, codes=(0, 1))


def _stage_postfix(paths: Paths, directory: Path) -> None:
    sessions.prepare(paths, directory, _digest(directory))


def _reload_postfix(paths: Paths) -> None:
    before = _queue_managers()
    run(["postfix", "-c", str(paths.active), "reload"])
    # The signal is sent, not yet obeyed, and until it is, mail goes out by the policy before.
    # The master process lets go of every old process first, and then starts a queue manager.
    deadline = time.monotonic() + OBEY_SECONDS
    while not (now := _queue_managers()) or now & before:
        if time.monotonic() > deadline:
            raise Refused(f"Postfix has not loaded it within {OBEY_SECONDS:.0f} s")
        time.sleep(0.02)
    digest = _digest(paths.active)
    _remove_old_connection_caches(paths, digest)
    sessions.end_others(paths, digest)


def _queue_managers() -> set[str]:
    """The process ids of Postfix's qmgr(8): one, but for the moment of a reload."""
    found = set()
    for file in PROC.glob("[0-9]*/comm"):
        with suppress(OSError):  # a process that has ended since
            if file.read_text() == "qmgr\n":
                found.add(file.parent.name)
    return found


def _digest(generation: Path) -> str:
    """The digest by which a generation names its connection caches and its sessions."""
    digest = run(["postconf", "-c", str(generation), "-hx", "tlsgate_generation"]).strip()
    if not digest.isalnum():
        raise Refused(f"main.cf has no tlsgate_generation, but {digest!r}")
    return digest


def _remove_old_connection_caches(paths: Paths, digest: str) -> None:
    """Postfix leaves the sockets of services that it no longer has, some for each generation."""
    spool = run(["postconf", "-c", str(paths.active), "-hx", "queue_directory"]).strip()
    for socket_file in Path(spool, "private").glob("scache-*"):
        if not socket_file.name.endswith(f"-{digest}"):
            socket_file.unlink(missing_ok=True)


def _prepare_nginx(directory: Path, sources: Mapping[str, bytes]) -> None:
    requirements.certificates(requirements.NGINX, sources)
    run(["nginx", "-t", "-q", "-c", str(directory / "nginx.conf")])


def _check_nginx(paths: Paths) -> None:
    run(["nginx", "-t", "-q", "-c", str(paths.active / "nginx.conf")])


def _reload_nginx(paths: Paths) -> None:
    try:
        os.kill(int((paths.run / "nginx.pid").read_text()), signal.SIGHUP)
    except (OSError, ValueError) as fault:
        raise Refused(f"nginx cannot be told to reload: {fault}") from fault


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
