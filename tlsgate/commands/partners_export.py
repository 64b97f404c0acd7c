"""`tlsgate partners export`: the outbound half of the list, for a Postfix without tlsgate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_directory, add_option
from tlsgate.partners.format import digest
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Direction, Mode, Partner, Verify
from tlsgate.problems import Problem, ProblemsError, visible
from tlsgate.render.partner_maps import compile_partners
from tlsgate.tls import Strength

SUMMARY = "print the list as a Postfix TLS policy table"
_EPILOG = """\
The table is the source of smtp_tls_policy_maps (postconf(5)). It contains what partners' servers
must show. It does not contain what partners must show when they send to you.

example:
  tlsgate partners export --to postfix > tls_policy && postmap lmdb:tls_policy

exit status: 0 exported, 1 problems in the list, or records that a table cannot express, 2 wrong
usage
"""
_HEAD = """\
# The outbound half of a partner list: smtp_tls_policy_maps (postconf(5)).
# Made by `tlsgate partners export` from the list {digest}.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--to", choices=["postfix"], required=True, help="the format to write")
    add_directory(parser)
    add_option(
        parser,
        "--partial",
        old="--partly",
        action="store_true",
        help="leave out records that the table cannot express; they are still reported",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        partners = load_partners(options.directory, today=date.today())
    except ProblemsError as error:
        print(error, file=sys.stderr)
        return EXIT_PROBLEMS
    problems = {partner: fault for partner in partners if (fault := _fault(partner))}
    if problems:
        print(ProblemsError(problems.values()), file=sys.stderr)
    if not problems or options.partial:
        print(to_postfix([one for one in partners if one not in problems]), end="")
    return EXIT_PROBLEMS if problems else EXIT_OK


def _fault(partner: Partner) -> Problem | None:
    """Return why a table cannot express a record; None if it can."""
    if partner.mode is Mode.OBSERVE:
        message, remedy = "is only observed, but the table would hold mail", "Enforce it first"
    elif any(rule.direction is Direction.OUTBOUND for rule in partner.exceptions):
        message = "has an exception, which would not end in a table"
        remedy = "Export again when it has ended and is deleted"
    elif partner.outbound.verify is Verify.PRIVATE_CA:
        message = "has a private CA, which a table needs in a file"
        remedy = "Write the entry by hand: secure match=… tafile=…"
    elif partner.tls is Strength.COMPATIBLE:
        message = "allows older encryption, which needs more than a table"
        remedy = "Write the entry by hand, with ciphers= and the list of ciphers in main.cf"
    else:
        return None
    said = f"{visible(partner.name)} {message}"
    return Problem(partner.file, 0, "", "not-said", said, remedy)


def to_postfix(partners: Sequence[Partner]) -> str:
    """Return the table of records that it can express. Raises ValueError for others."""
    entries = compile_partners(partners).outbound
    head = _HEAD.format(digest=digest(partners))
    return head + "".join(f"{key} {policy}\n" for key, policy in entries)
