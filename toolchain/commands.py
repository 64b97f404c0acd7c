"""Running other programs: short ones for their answer, long ones with a log and a sign of life."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from toolchain.errors import SetupError
from toolchain.progress import Progress

_TAIL: Final = 12
_GRACE: Final = 10.0
_ANSWER_TIMEOUT: Final = 30.0


def answer(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Return what a short command prints, or None when it fails or cannot be started."""
    try:
        run = subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def tail(log: Path) -> tuple[str, ...]:
    """Return where a log is and its last lines."""
    lines = log.read_text(errors="replace").splitlines()
    return (f"{log} ends with", *(f"| {line}" for line in lines[-_TAIL:]))


def run_logged(
    command: Sequence[str],
    *,
    log: Path,
    progress: Progress,
    environment: Mapping[str, str],
    remedy: str,
    cwd: Path | None = None,
) -> None:
    """Run a long command; its output goes to `log`. Raise SetupError when it fails.

    An interrupt ends the command and all that it started before it goes on to the caller.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        raise SetupError(f"{command[0]} cannot be started: {error.strerror}", remedy) from error
    try:
        with progress.alive():
            code = process.wait()
    except BaseException:
        _end(process)
        raise
    if code != 0:
        name = " ".join((Path(command[0]).name, *command[1:2]))
        raise SetupError(f"`{name} …` ended with {code}", remedy, tail(log))


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                continue
