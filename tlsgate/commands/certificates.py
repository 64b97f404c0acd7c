"""`tlsgate certificates`: shows the state of a stack's certificates, and sends orders to the agent.

The commands run in the agent's container (`docker exec`), because the state of the certificates is
on its volumes and not on the deploying machine. The JSON of `status --json` is
`{"certificates": […]}`, each as tlsgate/acme/agent/status.py describes it.
"""

from __future__ import annotations

import argparse
import sys

from tlsgate.commands import EXIT_PROBLEMS
from tlsgate.commands.containers import UnreachableError, add_options, container

_EPILOG = """\
examples:
  tlsgate certificates status                   the certificates of the stack
  tlsgate certificates --stack demo renew mx1.corp.example
  tlsgate certificates rotate mx1.corp.example  change the key in the steps that DANE needs
  tlsgate certificates rotate --now --revoke mx1.corp.example
                                                for a compromised key; prints the effects on DANE
  tlsgate certificates undo mx1.corp.example    cancel a key change, or go back
  tlsgate certificates account-key              change the keys of the accounts at the CAs

`check`, `renew`, `rotate` and `undo` leave a request for the agent, which starts it within a
second; `status` shows its progress. docs/certificates.md has the steps.

exit status: 0 done; 1 failed, with the reason; 2 wrong usage
"""
_COMMAND = ["python3", "-m", "tlsgate.acme"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_options(parser, "agent")
    commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)
    status = commands.add_parser("status", help="show the state of every certificate")
    status.add_argument("--json", action="store_true", help="print JSON instead of text")
    check = commands.add_parser("check", help="ask the CA now when to renew certificates")
    old_check = commands.add_parser("look")  # the old spelling; without help, it is not listed
    renew = commands.add_parser("renew", help="renew certificates now, with the keys they have")
    rotate = commands.add_parser("rotate", help="change keys, in the steps that DANE needs")
    commands.add_parser("account-key", help="change the keys of the accounts at the CAs")
    undo = commands.add_parser("undo", help="cancel a key change, or go back to the key before")
    for command in (check, old_check, renew, rotate, undo):
        command.add_argument(
            "name", nargs="+", metavar="NAME", help="a certificate's name, as status shows it"
        )
    rotate.add_argument(
        "--now", action="store_true", help="do not wait for DNS caches; prints the effects of that"
    )
    rotate.add_argument(
        "--revoke", action="store_true", help="the key is compromised: revoke its certificates"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    arguments = ["look" if options.what == "check" else options.what]
    if options.what == "status":
        arguments += ["--json"] if options.json else []
    elif options.what != "account-key":
        if options.what == "rotate":
            arguments += [f"--{flag}" for flag in ("now", "revoke") if getattr(options, flag)]
        arguments += ["--", *options.name]
    try:
        return _run_in_agent(options, arguments)
    except UnreachableError as fault:
        print(fault, file=sys.stderr)
        return EXIT_PROBLEMS


def _run_in_agent(options: argparse.Namespace, arguments: list[str]) -> int:
    """Run the command in the agent's container; print its output and return its exit status."""
    # The agent may hold its lock for a while.
    with container(options, "agent", timeout=330) as agent:
        done = agent.exec_run([*_COMMAND, *arguments], demux=True)
    output, errors = (part or b"" for part in done.output)
    sys.stdout.write(output.decode(errors="replace"))
    sys.stderr.write(errors.decode(errors="replace"))
    return int(done.exit_code or 0)
