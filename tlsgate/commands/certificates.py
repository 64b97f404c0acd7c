"""`tlsgate certificates`: how a stack's certificates stand, and what a person may ask of the agent.

The agent's container is asked, by its own command line (`docker exec`): the certificates' state is
on its volumes, and nothing of it is on the deploying machine. The JSON of `status --json` is
`{"certificates": […]}`, each as tlsgate/acme/status.py describes it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any

from tlsgate.commands import EXIT_PROBLEMS

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
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--stack",
        default=os.environ.get("PULUMI_STACK"),
        metavar="NAME",
        help="whose agent is asked (default: $PULUMI_STACK, else the only agent there is)",
    )
    where.add_argument("--container", metavar="NAME", help="the agent's container, by its name")
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
    except _Unreachable as fault:
        print(fault, file=sys.stderr)
        return EXIT_PROBLEMS


class _Unreachable(Exception):
    """No agent could be asked; the text says why and what to do."""


def _ask(options: argparse.Namespace, arguments: list[str]) -> int:
    """Run the command in the agent's container; the output and the exit status are its own."""
    docker = _docker()
    try:
        client = docker.from_env(timeout=330)  # the agent may hold its lock for a while
        try:
            container = _agent(client, options)
            done = container.exec_run([*_COMMAND, *arguments], demux=True)
        finally:
            client.close()
    except docker.errors.DockerException as fault:
        raise _Unreachable(
            f"The Docker engine does not do it: {fault}.\n"
            "See that it runs, that DOCKER_HOST leads to it, and that the agent is up."
        ) from fault
    output, errors = (part or b"" for part in done.output)
    sys.stdout.write(output.decode(errors="replace"))
    sys.stderr.write(errors.decode(errors="replace"))
    return int(done.exit_code or 0)


def _agent(client: Any, options: argparse.Namespace) -> Any:
    if options.container:
        return client.containers.get(options.container)
    labels = ["tlsgate.role=agent"]
    if options.stack:
        labels.append(f"tlsgate.stack={options.stack}")
    found = client.containers.list(filters={"label": labels})
    if len(found) == 1:
        return found[0]
    which = f" of stack {options.stack}" if options.stack else ""
    if not found:
        raise _Unreachable(
            f"No agent{which} runs on this engine. Deploy the stack with `pulumi up`, or name it"
            " with --stack."
        )
    names = ", ".join(sorted(one.labels["tlsgate.stack"] for one in found))
    raise _Unreachable(f"There are agents of several stacks: {names}. Name one with --stack.")


def _docker() -> Any:
    """The engine's library: only a machine that deploys has it."""
    try:
        return importlib.import_module("docker")
    except ImportError:
        raise _Unreachable(
            "This command needs the Docker SDK, which the deploying machine has: "
            "`uv sync --group deploy`, or run it there."
        ) from None
