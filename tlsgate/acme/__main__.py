"""`python3 -m tlsgate.acme`: the issuing job, the agent, and what both made."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tlsgate.acme.agent import Agent
from tlsgate.acme.build import issuer, proofs, published
from tlsgate.acme.config import Config, load
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.paths import Paths
from tlsgate.acme.running import Busy, Stop, Stopped, locked
from tlsgate.acme.show import faults, result
from tlsgate.events import emit
from tlsgate.problems import ProblemsError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if all is well, 1 with the reasons on standard error if not."""
    options = _parser().parse_args(arguments)
    paths = Paths(config=options.config, state=options.state, keys=options.keys)
    stop = Stop()
    try:
        if options.command == "run":
            with stop.listening():
                Agent(paths, _now, stop).run()
            return 0
        config = load(paths.config)
        if options.command == "health":
            return _say(faults(config, paths, _now()))
        if options.command in _LOCKED:
            with stop.listening():
                problems = _under_lock(_LOCKED[options.command], config, paths, stop, options.wait)
            if problems:
                return _say(problems)
        if options.command != "withdraw":
            print(json.dumps(result(config, paths)), flush=True)
    except (ProblemsError, AcmeFault) as fault:
        return _say([str(fault)])
    except Stopped:
        return _say(["stopped before the end; the next run goes on"])
    return 0


def issue(config: Config, paths: Paths, stop: Stop) -> list[str]:
    """Brings every certificate to what is wanted, once; returns what could not be done.

    The same code as the agent's, but asked for by a person: what failed a minute ago is tried
    again at once. One certificate's failure does not keep the others back.
    """
    orders = issuer(config, paths, stop.pause, _now)
    found = []
    for wanted in config.certificates:
        fault = orders.attempt(wanted)
        if fault is not None:
            found.append(f"certificate {wanted.name} ({wanted.volume}): {fault}")
        stop.pause(0)
    return found


def withdraw(config: Config, paths: Paths, _stop: Stop) -> list[str]:
    """Takes what the agent published out of DNS. Certificates and keys stay, nothing is revoked."""
    proofs(config, paths).clean()
    records = published(config)
    if records is not None:
        for wanted in config.certificates:
            records.withdraw(wanted.tlsa)
    return []


_LOCKED = {"issue": issue, "withdraw": withdraw}


def _under_lock(
    command: Callable[[Config, Paths, Stop], list[str]],
    config: Config,
    paths: Paths,
    stop: Stop,
    wait: float,
) -> list[str]:
    def waiting() -> None:
        emit("waiting", what=f"another process holds {paths.lock}", seconds=wait)

    try:
        with locked(paths.lock, wait, stop.pause, waiting):
            return command(config, paths, stop)
    except Busy:
        return [
            f"the agent, or another `up`, has held {paths.lock} for {wait:.0f} s.\n"
            "What to do: look at the agent's log for what it waits for, and run this again."
        ]
    except OSError as fault:
        return [
            f"the state volume cannot be used: {fault}.\n"
            "What to do: see that it is mounted writable for user 10001 and has room."
        ]


def _now() -> datetime:
    return datetime.now(UTC)


def _say(reasons: Sequence[str]) -> int:
    for reason in reasons:
        print(reason, file=sys.stderr)
    return 1 if reasons else 0


def _parser() -> argparse.ArgumentParser:
    default = Paths()
    parser = argparse.ArgumentParser(prog="tlsgate.acme", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("issue", "order what is due, once; print the result as JSON"),
        ("run", "keep every certificate valid, for ever"),
        ("show", "print what is on the volumes as JSON, without network"),
        ("health", "exit 1 and say why if the agent does not do its work"),
        ("withdraw", "take what was published out of DNS again"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", type=Path, default=default.config, metavar="FILE")
        command.add_argument("--state", type=Path, default=default.state, metavar="DIR")
        command.add_argument("--keys", type=Path, default=default.keys, metavar="DIR")
        if name in _LOCKED:
            help_text = "how long to wait for the agent to let go of the lock (default 300)"
            command.add_argument(
                "--wait", type=float, default=300.0, metavar="SECONDS", help=help_text
            )
    return parser


if __name__ == "__main__":
    sys.exit(main())
