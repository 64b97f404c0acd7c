"""The command line: finds the subcommand, loads its module alone, and runs it.

A subcommand is a line in `COMMANDS` and a module with one function, `configure(parser)`, which
adds its arguments and sets `run`: a function from the parsed arguments to the exit status.
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
  tlsgate queue                       what mail is held, and why
  tlsgate partners --help             what else can be done with the list
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
        "show certificates, renew them, or change their keys",
    ),
    Command("check", "tlsgate.commands.check", "tell whether mail to an address is protected"),
    Command("partners", "tlsgate.commands.partners", "check, list and compile the partner list"),
    Command("probe", "tlsgate.commands.probe", "tell what domains' mail servers are ready for"),
    Command("queue", "tlsgate.commands.queue", "show held mail: since when, until when, and why"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; wrong usage raises SystemExit(2)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser(arguments).parse_args(arguments)
    _print_anything(sys.stdout, sys.stderr)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has gone: say nothing, and let the interpreter's own flush
        # at exit find a place to write to.
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
    """Prints the installed version; looks it up only then, for that takes time."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        version = importlib.import_module("importlib.metadata").version("tlsgate")
        print(f"tlsgate {version}")
        parser.exit()


def _print_anything(*streams: object) -> None:
    """A terminal that cannot show a partner's name gets it escaped, not a traceback."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
