"""A Docker engine as a process of the clone's own, for machines where nothing starts one.

Its record in .state/engine.json says which process it is; `make clean` ends that one and no other.
The process is known by its id and its start time, since ids are used again.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from toolchain.commands import tail
from toolchain.context import Context
from toolchain.engine_api import DEFAULT_ADDRESS, EngineApi, EngineError
from toolchain.errors import SetupError

ROOT_VARIABLE: Final = "TLSGATE_ENGINE_ROOT"
"""A folder: set-up starts an engine whose socket, data and run files are all in there, even where
another engine runs."""
FLAGS_VARIABLE: Final = "TLSGATE_ENGINE_FLAGS"
"""More options of `dockerd`, such as --bridge=none."""
_START_TIMEOUT: Final = 60.0
_STOP_TIMEOUT: Final = 60.0


@dataclass(frozen=True, slots=True)
class Record:
    """A dockerd that set-up started. `started`: its start time, in clock ticks since boot."""

    pid: int
    started: int
    address: str


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot (proc(5)); None without it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The program's name, in brackets, may hold spaces; field 22 counts from the process id.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def private_address(root: Path) -> str:
    """Return the address of the engine in a folder of its own."""
    return f"unix://{root}/docker.sock"


def command(environment: Mapping[str, str], pid_file: Path) -> list[str]:
    """Return the command line of the engine to start."""
    line = ["dockerd", "--pidfile", str(pid_file)]
    root = environment.get(ROOT_VARIABLE)
    if root:
        line += ["--host", private_address(Path(root))]
        line += ["--data-root", f"{root}/data", "--exec-root", f"{root}/exec"]
    else:
        line += ["--host", DEFAULT_ADDRESS]
    return line + shlex.split(environment.get(FLAGS_VARIABLE, ""))


def record_file(state: Path) -> Path:
    """Return where the record is."""
    return state / "engine.json"


def read_record(state: Path) -> Record | None:
    """Return the record of a process that still runs."""
    try:
        record = Record(**json.loads(record_file(state).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return record if start_time(record.pid) == record.started else None


def start(context: Context, program: Path) -> str:
    """Start the engine and wait until it answers; return its address.

    One that an interrupted run has started is only waited for.
    """
    context.progress.doing("starting the Docker engine (dockerd)")
    record, process = read_record(context.state), None
    if record is None:
        record, process = _spawn(context, program)
    deadline = time.monotonic() + _START_TIMEOUT
    with context.progress.alive():
        while time.monotonic() < deadline and start_time(record.pid) == record.started:
            try:
                EngineApi(record.address).version()
            except EngineError:
                time.sleep(0.2)
            else:
                return record.address
    stop(context.state)
    if process:
        process.wait()
    raise SetupError(
        "dockerd did not start",
        "read its log; in a container, the engine must be allowed to mount and to make networks",
        tail(context.log("dockerd")),
    )


def _spawn(context: Context, program: Path) -> tuple[Record, subprocess.Popen[bytes]]:
    root = context.environment.get(ROOT_VARIABLE)
    if root:
        Path(root).mkdir(parents=True, exist_ok=True)
    log = context.log("dockerd")
    log.parent.mkdir(parents=True, exist_ok=True)
    pid_file = context.state / "dockerd.pid"
    pid_file.unlink(missing_ok=True)  # left by a process that was killed
    line = command(context.environment, pid_file)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(program), *line[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # What it inherits is only what it needs: it outlives this run.
            env={key: context.environment[key] for key in _KEPT if key in context.environment},
        )
    address = line[line.index("--host") + 1]
    record = Record(process.pid, start_time(process.pid) or 0, address)
    record_file(context.state).write_text(json.dumps(asdict(record)))
    return record, process


_KEPT: Final = (
    "PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


def stop(state: Path) -> Record | None:
    """End the engine that set-up started, which ends its containerd; return it if there was one.

    Raise SetupError when it does not end.
    """
    record = read_record(state)
    if record is not None:
        os.kill(record.pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT
        while start_time(record.pid) == record.started:
            if time.monotonic() > deadline:
                raise SetupError(
                    f"dockerd (process {record.pid}) does not end after SIGTERM",
                    f"look at {state}/log/dockerd.log, end it by hand, then run `make clean` again",
                )
            time.sleep(0.1)
    record_file(state).unlink(missing_ok=True)
    return record
