"""`tlsgate certificates`: how a stack's certificates stand, and what a person may ask of the agent.

The agent's container is asked, by its own command line (`docker exec`): the certificates' state is
on its volumes, and nothing of it is on the deploying machine. The JSON of `status --json` is
`{"certificates": […]}`, each as tlsgate/acme/agent/status.py describes it.
"""

from __future__ import annotations

import argparse
import sys

from tlsgate.commands import EXIT_PROBLEMS
from tlsgate.commands.containers import Unreachable, add_options, container

_EPILOG = """\
examples:
  tlsgate certificates status                   of the stack that `pulumi stack` shows
  tlsgate certificates --stack demo renew mx1.corp.example
  tlsgate certificates rotate mx1.corp.example  another key, with all that DANE needs
  tlsgate certificates rotate --now --revoke mx1.corp.example
                                                a compromised key; says what it costs DANE peers
  tlsgate certificates undo mx1.corp.example    give a roll-over up, or go back
  tlsgate certificates account-key              the accounts at the CAs, not the certificates

`look`, `renew`, `rotate` and `undo` leave a wish for the agent, which takes it up within a second;
`status` shows how far it is. docs/certificates.md has the steps.

exit status: 0 done; 1 it could not be done, with the reason; 2 wrong usage
"""
_COMMAND = ["python3", "-m", "tlsgate.acme"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_options(parser, "agent")
    commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)
    status = commands.add_parser("status", help="how every certificate stands")
    status.add_argument("--json", action="store_true", help="for other programs")
    look = commands.add_parser("look", help="ask the CA at once when to renew certificates")
    renew = commands.add_parser("renew", help="order certificates anew, with the keys they have")
    rotate = commands.add_parser("rotate", help="change keys, with all that DANE needs")
    commands.add_parser("account-key", help="give the accounts at the CAs another key")
    undo = commands.add_parser("undo", help="give a roll-over up, or go back to the one before")
    for command in (look, renew, rotate, undo):
        command.add_argument("name", nargs="+", metavar="NAME", help="a certificate's, see status")
    rotate.add_argument(
        "--now", action="store_true", help="without the waits for DNS caches; says what that costs"
    )
    rotate.add_argument(
        "--revoke", action="store_true", help="the key is compromised: revoke its certificates"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    arguments = [options.what]
    if options.what == "status":
        arguments += ["--json"] if options.json else []
    elif options.what != "account-key":
        if options.what == "rotate":
            arguments += [f"--{flag}" for flag in ("now", "revoke") if getattr(options, flag)]
        arguments += ["--", *options.name]
    try:
        return _ask(options, arguments)
    except Unreachable as fault:
        print(fault, file=sys.stderr)
        return EXIT_PROBLEMS


def _ask(options: argparse.Namespace, arguments: list[str]) -> int:
    """Run the command in the agent's container; the output and the exit status are its own."""
    # The agent may hold its lock for a while.
    with container(options, "agent", timeout=330) as agent:
        done = agent.exec_run([*_COMMAND, *arguments], demux=True)
    output, errors = (part or b"" for part in done.output)
    sys.stdout.write(output.decode(errors="replace"))
    sys.stderr.write(errors.decode(errors="replace"))
    return int(done.exit_code or 0)
