"""The command line: finds the subcommand, loads only its module, and runs it.

A subcommand is an entry of `COMMANDS` and a module with one function, `configure(parser)`. It adds
the arguments and sets `run`, a function from the parsed arguments to the exit status.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tlsgate.commands import EXIT_PROBLEMS

_EXAMPLES = """\
examples:
  tlsgate partners check              look for problems in partners/
  tlsgate partners list --json        the partner list for other programs
  tlsgate probe acme.example          whether a domain's servers are ready, and why not
  tlsgate check buyer@acme.example    whether mail to an address would be protected
  tlsgate queue                       which mail is held, and why
  tlsgate partners --help             all commands for the partner list
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand and the module that implements it."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command(
        "certificates",
        "tlsgate.commands.certificates",
        "show certificates, renew them and change their keys",
    ),
    Command("check", "tlsgate.commands.check", "check whether mail to an address is protected"),
    Command("partners", "tlsgate.commands.partners", "check, list and compile the partner list"),
    Command(
        "probe", "tlsgate.commands.probe", "check what the mail servers of domains are ready for"
    ),
    Command("queue", "tlsgate.commands.queue", "show held mail: since when, until when, and why"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; wrong usage raises SystemExit(2)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser(arguments).parse_args(arguments)
    _escape_unprintable(sys.stdout, sys.stderr)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone: print nothing, and give the interpreter's own flush at
        # exit a place to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PROBLEMS
    return status


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tlsgate",
        description="Mail to and from listed partners only over authenticated TLS.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        description = command.help[0].upper() + command.help[1:] + "."
        sub = commands.add_parser(command.name, help=command.help, description=description)
        if command.name in arguments:
            importlib.import_module(command.module).configure(sub)
    return parser


class _Version(argparse.Action):
    """Prints the installed version, which is looked up only then because it takes time."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        version = importlib.import_module("importlib.metadata").version("tlsgate")
        print(f"tlsgate {version}")
        parser.exit()


def _escape_unprintable(*streams: object) -> None:
    """Escape names that the terminal cannot show, instead of ending with a traceback."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
