"""`tlsgate check`: says before mail is sent to an address whether it would be protected.

JSON (`--json`), one object on stdout:

    {"addresses": [{"address", "domain",
       "protection": "mandatory" | "exception" | "dane" | "mta-sts" | "opportunistic" | "unknown",
       "assured": bool, "outcome": "sent" | "held" | "returned" | "not-tried", "sentence",
       "level": Postfix's level or null, "match": [name or SHA-256], "reason": text or null,
       "server": text or null, "tls": version or null}]}

A list with problems: {"problems": […]}.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.network_options import add_options, mail_domain, read_list, resolver_of
from tlsgate.probe.prediction import Outcome, Prediction, predict_offline
from tlsgate.problems import shown
from tlsgate.render.partner_maps import PartnerMaps, compile_partners

_EPILOG = """\
examples:
  tlsgate check buyer@acme.example
  tlsgate check --offline --json buyer@acme.example acme.example

The policy is found as the gateway finds it: in the partner list, then by DANE and MTA-STS. What
would happen now is found by the same look-ups and handshakes that the gateway makes; no message is
sent. With --offline, only the partner list is used. Only partner files that may contain the domain
are read; `tlsgate partners check` reads all of them.

exit status: 0 mail to every address is protected and would be sent; 1 otherwise, or the list has
problems; 2 wrong usage
The JSON format is described at the top of tlsgate/commands/check.py.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "addresses", metavar="ADDRESS", nargs="+", type=_address, help="user@domain, or a domain"
    )
    add_options(parser)
    parser.add_argument(
        "--offline", action="store_true", help="use only the partner list, no network"
    )
    parser.set_defaults(run=_run)


def _address(text: str) -> tuple[str, str]:
    """Return the argument and its domain."""
    _, at, domain = text.rpartition("@")
    if domain.startswith("["):
        raise argparse.ArgumentTypeError(f"{shown(text)} has an IP address instead of a domain")
    return text, mail_domain(domain if at else text)


def _run(options: argparse.Namespace) -> int:
    domains = list(dict.fromkeys(domain for _, domain in options.addresses))
    partners = read_list(options, domains)
    if partners is None:
        return EXIT_PROBLEMS
    try:
        predictions = _predict(domains, compile_partners(partners), options)
    except ValueError as fault:
        print(f"The partner list cannot be compiled: {fault}.", file=sys.stderr)
        return EXIT_PROBLEMS
    answers = [(address, predictions[domain]) for address, domain in options.addresses]
    if options.json:
        entries = [{"address": address, **answer.to_dict()} for address, answer in answers]
        print(json.dumps({"addresses": entries}, indent=2))
    else:
        for address, answer in answers:
            print(f"{address}: {answer.sentence}")
            if answer.outcome is Outcome.SENT and answer.assured:
                print(f"  now: would be sent to {answer.server} over {answer.version}")
    good = {Outcome.SENT, Outcome.NOT_TRIED}
    all_good = all(answer.assured and answer.outcome in good for _, answer in answers)
    return EXIT_OK if all_good else EXIT_PROBLEMS


def _predict(
    domains: list[str], maps: PartnerMaps, options: argparse.Namespace
) -> dict[str, Prediction]:
    table = maps.outbound_at(datetime.now(UTC))
    if options.offline:
        return {domain: predict_offline(domain, table) for domain in domains}
    from tlsgate.probe.check import CheckSettings, predict_all  # noqa: PLC0415  # slow to load

    settings = CheckSettings(
        resolver_of(options), options.extra_ca or "", anchors=dict(maps.anchors)
    )
    return {answer.domain: answer for answer in predict_all(domains, table, settings)}
