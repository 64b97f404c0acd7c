"""The commands of `python3 -m tlsgate.acme` and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tlsgate.acme.state.paths import Paths

COMMANDS = {
    "issue": "order what is due, once; print the result as JSON",
    "run": "keep every certificate valid, until stopped",
    "show": "print what is on the volumes as JSON, without network",
    "status": "print the state of every certificate, without network",
    "health": "exit 1 with the reasons if the agent is not healthy",
    "look": "have the agent ask the CA at once when to renew certificates",
    "renew": "have the agent order certificates again, with the same keys",
    "rotate": "have the agent change keys, with all that DANE needs",
    "undo": "cancel a roll-over, or go back to the previous certificate",
    "account": "register the accounts at the CAs, or find them; print their URIs as JSON",
    "accounts": "print the accounts' URIs as JSON, without network",
    "account-key": "give the accounts at the CAs a new key",
    "withdraw": "remove what was published from DNS",
}
ASKING = ("look", "renew", "rotate", "undo")
LOCKED = ("issue", "account", "account-key", "withdraw", *ASKING)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """`command`, the paths, and what the command has of its own. Exits on wrong usage."""
    default = Paths()
    parser = argparse.ArgumentParser(prog="tlsgate.acme", description="The certificates' agent.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", type=Path, default=default.config, metavar="FILE")
        command.add_argument("--state", type=Path, default=default.state, metavar="DIR")
        command.add_argument("--keys", type=Path, default=default.keys, metavar="DIR")
        if name in LOCKED:
            help_text = "how long to wait for the agent to release the lock (default 300)"
            command.add_argument(
                "--wait", type=float, default=300.0, metavar="SECONDS", help=help_text
            )
        if name in ASKING:
            command.add_argument("name", nargs="+", metavar="NAME", help="of a certificate")
        if name == "status":
            command.add_argument("--json", action="store_true", help="for other programs")
        if name == "rotate":
            add_rotate_options(command)
    return parser.parse_args(arguments)


def add_rotate_options(parser: argparse.ArgumentParser) -> None:
    """The options of `rotate`, here and on the deploying machine."""
    parser.add_argument(
        "--now", action="store_true", help="do not wait for DNS caches; prints the consequences"
    )
    parser.add_argument(
        "--revoke",
        action="store_true",
        help="the key is compromised: revoke its certificates after the switch",
    )


def paths_of(options: argparse.Namespace) -> Paths:
    """Where the volumes are."""
    return Paths(config=options.config, state=options.state, keys=options.keys)
