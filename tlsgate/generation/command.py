"""Runs Postfix's and nginx's own programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tlsgate.generation.manifest import Refused

COMMAND_SECONDS = 60


def run(
    command: Sequence[str], *, text: str = "", silent: bool = False, codes: Sequence[int] = (0,)
) -> str:
    """Standard output of the command, which gets `text` as its input.

    Raises Refused if it fails or, `silent`, if it warns.
    """
    try:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise Refused(f"{' '.join(command[:3])}: {fault}") from fault
    if done.returncode not in codes or (silent and done.stderr):
        said = " / ".join((done.stderr or done.stdout).strip().splitlines()[:5])
        raise Refused(f"{command[0]} says: {said or f'exit code {done.returncode}'}")
    return done.stdout
