"""`python3 -m tlsgate.acme`: the issuing job, the agent, and what a person asks of them."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from tlsgate.acme.agent.arguments import LOCKED, paths_of, read
from tlsgate.acme.agent.assembly import published, renewer, responses
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.agent.metrics import serving
from tlsgate.acme.agent.operator import Operator
from tlsgate.acme.agent.status import Status, as_text, faults, keys, result
from tlsgate.acme.agent.webhook import Webhook
from tlsgate.acme.ca.account import Accounts
from tlsgate.acme.ca.trusted_roots import system_roots
from tlsgate.acme.config.agent_json import Config, load
from tlsgate.acme.faults import AcmeFault
from tlsgate.acme.process import Busy, Stop, Stopped, locked
from tlsgate.acme.state.paths import Paths
from tlsgate.clock import utc_now
from tlsgate.events import emit, printed_on
from tlsgate.problems import ProblemsError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if all is well, 1 with the reasons on standard error if not."""
    options = read(arguments)
    paths, stop = paths_of(options), Stop()
    try:
        if options.command == "run":
            with stop.listening():
                run(paths, stop)
            return 0
        return _once(options, paths, stop)
    except (ProblemsError, AcmeFault) as fault:
        return _say([str(fault)])
    except OSError as fault:
        return _say([_unusable(fault)])
    except Stopped:
        return _say(["stopped before the end; the next run continues"])


def _once(options: Namespace, paths: Paths, stop: Stop) -> int:
    """Every command but `run`. Raises what `main` handles."""
    config = load(paths.config)
    if options.command in LOCKED:
        with stop.listening():
            problems = _under_lock(options, config, paths, stop)
        return _say(problems) if problems else _answer(options, config, paths)
    with printed_on(sys.stderr):
        return _answer(options, config, paths)


def _answer(options: Namespace, config: Config, paths: Paths) -> int:
    """What the command prints at its end, from the volumes."""
    match options.command:
        case "health":
            return _say(faults(config, paths, utc_now()))
        case "issue":
            print(json.dumps({**result(config, paths), "keys": keys(config, paths)}), flush=True)
        case "show":
            print(json.dumps(result(config, paths)), flush=True)
        case "account" | "accounts":
            accounts = {"accounts": Accounts(config, paths, utc_now).known()}
            print(json.dumps(accounts), flush=True)
        case "status":
            show_status(config, paths, as_json=options.json)
    return 0


def run(paths: Paths, stop: Stop) -> None:
    """The agent, its metrics and its webhook, until the process is told to stop."""
    agent = Agent(paths, utc_now, stop)
    webhook = Webhook(lambda: agent.config.webhook_file, system_roots())

    def entries() -> list[dict[str, object]]:
        return Status(agent.config, paths, utc_now).all()

    with webhook.running(), serving(agent.config.metrics_port, entries):
        agent.run()


def issue(_options: Namespace, config: Config, paths: Paths, stop: Stop) -> list[str]:
    """Orders and repairs what is due for every certificate, once; returns what failed.

    The same code as the agent's, but asked for by a person: what failed a minute ago is tried
    again at once. One certificate's failure does not keep the others back.
    """
    orders = renewer(config, paths, stop.pause, utc_now)
    found = []
    for wanted in config.certificates:
        fault = orders.attempt(wanted)
        if fault is not None:
            found.append(f"certificate {wanted.name} ({wanted.volume}): {fault}")
        stop.pause(0)
    return found


def withdraw(_options: Namespace, config: Config, paths: Paths, _stop: Stop) -> list[str]:
    """Removes what the agent published from DNS. Certificates and keys stay, nothing is revoked."""
    responses(config, paths).clean()
    records = published(config, paths, utc_now)
    if records is not None:
        for wanted in config.certificates:
            records.withdraw(wanted.tlsa)
    return []


def account(_options: Namespace, config: Config, paths: Paths, _stop: Stop) -> list[str]:
    """Registers or finds the accounts, so that CAA records can name them before any order."""
    Accounts(config, paths, utc_now).opened()
    return []


def account_key(_options: Namespace, config: Config, paths: Paths, _stop: Stop) -> list[str]:
    """Changes the accounts' keys (RFC 8555, section 7.3.5); certificates keep theirs."""
    for uri in Accounts(config, paths, utc_now).change_keys():
        print(f"{uri} has a new key", flush=True)
    return []


def ask(options: Namespace, config: Config, paths: Paths, _stop: Stop) -> list[str]:
    """Leaves a person's request for the agent, and prints what follows from it."""
    operator = Operator(config, paths, utc_now)
    if options.command == "rotate":
        lines = operator.rotate(options.name, now=options.now, revoke=options.revoke)
    elif options.command == "renew":
        lines = operator.renew(options.name)
    elif options.command == "look":
        lines = operator.look(options.name)
    else:
        lines = operator.undo(options.name)
    print("\n".join(lines), flush=True)
    return []


def show_status(config: Config, paths: Paths, *, as_json: bool) -> None:
    """Prints the state of every certificate."""
    entries = Status(config, paths, utc_now).all()
    if as_json:
        print(json.dumps({"certificates": entries}, indent=2))
    else:
        print("\n\n".join(as_text(entry) for entry in entries))


_COMMANDS: dict[str, Callable[[Namespace, Config, Paths, Stop], list[str]]] = {
    "issue": issue,
    "account": account,
    "account-key": account_key,
    "withdraw": withdraw,
    "look": ask,
    "rotate": ask,
    "renew": ask,
    "undo": ask,
}


def _under_lock(options: Namespace, config: Config, paths: Paths, stop: Stop) -> list[str]:
    wait = options.wait

    def waiting() -> None:
        emit("waiting", what=f"another process holds {paths.lock}", seconds=wait)

    try:
        with locked(paths.lock, wait, stop.pause, waiting):
            return _COMMANDS[options.command](options, config, paths, stop)
    except Busy:
        return [
            f"the agent, or another `up`, has held {paths.lock} for {wait:.0f} s.\n"
            "What to do: look at the agent's log to find out what it waits for, and run this again."
        ]


def _unusable(fault: OSError) -> str:
    return (
        f"the state volume cannot be used: {fault}.\n"
        "What to do: check that it is writable for user 10001 and has free space."
    )


def _say(reasons: Sequence[str]) -> int:
    for reason in reasons:
        print(reason, file=sys.stderr)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
