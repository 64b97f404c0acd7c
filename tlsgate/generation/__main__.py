"""`python3 -m tlsgate.generation`: what the delivery job, the containers and their checks call."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tlsgate.generation import requirements
from tlsgate.generation.health import faults
from tlsgate.generation.in_force import LACKS_CERTIFICATE, lacks_certificate, verdict
from tlsgate.generation.install import install, show
from tlsgate.generation.manifest import Refused
from tlsgate.generation.paths import Paths
from tlsgate.generation.servers import server_program
from tlsgate.generation.watch import Watcher

STATE_VARIABLE = "TLSGATE_STATE"
"""The file on the data volume that names the last generation in force; set in the image."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if it was done, 1 with the reason on standard error if not."""
    options = _parser().parse_args(arguments)
    state = os.environ.get(STATE_VARIABLE)
    paths = Paths(state=Path(state) if state else None)
    match options.command:
        case "install":
            return _install(paths, options)
        case "show":
            print(json.dumps(show(paths)))
            return 0
        case "await":
            return _await(paths, options.id, options.timeout)
        case "health":
            return _say(faults(options.kind, paths, server_program(options.kind).port))
    watcher = Watcher(paths, server_program(options.kind))
    if not watcher.start():
        return 1
    if options.command == "watch":
        watcher.run()
    return 0


def _install(paths: Paths, options: argparse.Namespace) -> int:
    try:
        result = install(paths, server_program(options.kind), options.incoming, options.expect)
    except (Refused, OSError) as fault:
        return _say([f"the delivery was refused: {fault}. The previous generation stays in force."])
    print(json.dumps(result.to_dict()))
    return 0


def _await(paths: Paths, name: str, timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        done, reason = verdict(paths, name)
        if done:
            code = _say([reason] if reason else [])
            return LACKS_CERTIFICATE if code and lacks_certificate(paths, name) else code
        if time.monotonic() > deadline:
            return _say([f"generation {name} is not in force after {timeout:.0f} s. {reason}"])
        time.sleep(0.1)


def _say(reasons: list[str]) -> int:
    for reason in reasons:
        print(reason, file=sys.stderr)
    return 1 if reasons else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tlsgate.generation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("install", "build and check a generation and make it the current one"),
        ("stage", "put the current generation and its certificates in place once"),
        ("watch", "stage, then follow the volumes and reload the server"),
        ("health", "exit 1 and say why if the container does not do its work"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--kind", choices=requirements.KINDS, required=True)
        if name == "install":
            command.add_argument("--from", dest="incoming", type=Path, required=True)
            command.add_argument("--expect", metavar="ID")
    commands.add_parser("show", help="the current generation as its files are, as JSON")
    command = commands.add_parser("await", help="wait until a generation is in force")
    command.add_argument("id")
    command.add_argument("--timeout", type=float, default=30.0, help="seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
