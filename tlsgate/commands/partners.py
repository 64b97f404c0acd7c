"""`tlsgate partners`: check, list and compile the partner list.

JSON shapes (`--json`, one object on stdout, whatever the exit status):

- every command, if the list is refused:
  `{"problems": [{"file", "line", "key", "code", "message", "remedy"}, …]}`
- check: `{"problems": [], "partners": int, "domains": int, "digest": hex,
  "reviews_due": [{"name", "review", "file"}, …], "cas_ended": [{"name", "ended", "file"}, …]}`
- list: `{"problems": [], "digest": hex, "partners": [record as in DESIGN §4, with "file"]}`
- compile: `{"problems": [], "digest": hex, "outbound": {key: policy},
  "inbound": {key: restriction}, "networks": {CIDR: restriction}, "recipients":
  {key: restriction}, "rules": {"outbound", "inbound", "observed": [{…}]}}`; `rules` are those
  of the policy helper (tlsgate.render.partner_rules)
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_directory, add_own_domains
from tlsgate.partners.ca import anchors
from tlsgate.partners.format import digest
from tlsgate.partners.load import load_partners
from tlsgate.partners.model import Partner
from tlsgate.problems import ProblemsError
from tlsgate.render.partner_maps import compile_partners
from tlsgate.render.partner_rules import PartnerRules

Action = Callable[[tuple[Partner, ...], argparse.Namespace], None]

_EXAMPLES = """\
examples:
  tlsgate partners {name}
  tlsgate partners {name} path/to/partners --own-domain corp.example
  tlsgate partners {name} --json

exit status: 0 no problems, 1 problems in the list, 2 wrong usage
{shape}"""
_PROBLEMS_SHAPE = """
JSON of a list with problems:
  {"problems": [{"file", "line", "key", "code", "message", "remedy"}, ...]}
"""
_SHOWN_DOMAINS = 3
MODULES = {
    "tlsgate.commands.partners_add": "add",
    "tlsgate.commands.partners_promote": "promote",
    "tlsgate.commands.partners_diff": "diff",
    "tlsgate.commands.partners_fmt": "fmt",
    "tlsgate.commands.partners_schema": "schema",
    "tlsgate.commands.partners_import": "import",
    "tlsgate.commands.partners_export": "export",
}
"""The other commands: each is a module with `SUMMARY` and `configure(parser)`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(
        commands,
        "check",
        _check,
        "check all files, and report every problem",
        '{"problems": [], "partners": int, "domains": int, "digest", '
        '"reviews_due": [{"name", "review", "file"}], "cas_ended": [{"name", "ended", "file"}]}',
    )
    _add(
        commands,
        "list",
        _list,
        "list the partners, one line each",
        '{"problems": [], "digest", "partners": [the records, with "file"]}',
    )
    _add(
        commands,
        "compile",
        _compile,
        "show what the gateway enforces: Postfix's maps and the policy helper's rules",
        '{"problems": [], "digest", "outbound": {key: policy}, "inbound": {key: restriction}, '
        '"networks": {CIDR: restriction}, "recipients": {key: restriction}, '
        '"rules": {"outbound": [...], "inbound": [...], "observed": [...]}}',
    )
    for module, name in MODULES.items():
        more = importlib.import_module(module)
        summary: str = more.SUMMARY
        description = f"{summary[0].upper()}{summary[1:]}."
        more.configure(commands.add_parser(name, help=summary, description=description))


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    action: Action,
    summary: str,
    shape: str,
) -> None:
    shapes = f"{_PROBLEMS_SHAPE}JSON of a list without:\n  {shape}\n"
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=_EXAMPLES.format(name=name, shape=shapes),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_directory(parser)
    add_own_domains(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_run, action=action)


def _run(options: argparse.Namespace) -> int:
    options.today = _today()
    try:
        partners = load_partners(
            options.directory, own_domains=options.own_domains, today=options.today
        )
    except ProblemsError as error:
        if options.json:
            _print_json({"problems": [problem.to_dict() for problem in error.problems]})
        else:
            print(error, file=sys.stdout if options.action is _check else sys.stderr)
        return EXIT_PROBLEMS
    options.action(partners, options)
    return EXIT_OK


def _today() -> date:
    """Return today's local date; the clock is read only here."""
    return date.today()


def _check(partners: tuple[Partner, ...], options: argparse.Namespace) -> None:
    domains = sum(len(partner.domains) for partner in partners)
    due = [partner for partner in partners if partner.review < options.today]
    ends = [(one, end) for one in partners if (end := _ca_end(one)) and end < options.today]
    if options.json:
        _print_json(
            {
                "problems": [],
                "partners": len(partners),
                "domains": domains,
                "digest": digest(partners),
                "reviews_due": [
                    {"name": one.name, "review": one.review.isoformat(), "file": one.file}
                    for one in due
                ],
                "cas_ended": [
                    {"name": one.name, "ended": end.isoformat(), "file": one.file}
                    for one, end in ends
                ],
            }
        )
        return
    for partner in due:
        print(f"{partner.file}: note: the review of {partner.name} was due by {partner.review}.")
    for partner, end in ends:
        print(
            f"{partner.file}: note: the CA of {partner.name} expired on {end}: mail to it is held."
        )
    counts = f"{_count(len(partners), 'partner')}, {_count(domains, 'domain')}"
    print(f"{counts}: no problems\ndigest {digest(partners)}")


def _ca_end(partner: Partner) -> date | None:
    """Return the day on which the last certificate of the partner's private CA expires."""
    found = anchors(partner.outbound.ca)
    return found[-1].not_after.date() if found else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _list(partners: tuple[Partner, ...], options: argparse.Namespace) -> None:
    if options.json:
        records = [{**partner.to_dict(), "file": partner.file} for partner in partners]
        _print_json({"problems": [], "digest": digest(partners), "partners": records})
        return
    rows = [("PARTNER", "DOMAINS", "SUBDOMAINS", "OUTBOUND", "INBOUND", "REVIEW", "FILE")]
    rows += [
        (
            partner.name,
            _some(partner.domains),
            "yes" if partner.subdomains else "no",
            partner.outbound.verify.value,
            partner.inbound.require.value,
            partner.review.isoformat(),
            partner.file,
        )
        for partner in partners
    ]
    _print_table(rows)


def _some(domains: Sequence[str]) -> str:
    more = len(domains) - _SHOWN_DOMAINS
    text = ", ".join(domains[:_SHOWN_DOMAINS])
    return f"{text} and {more} more" if more > 0 else text


def _compile(partners: tuple[Partner, ...], options: argparse.Namespace) -> None:
    maps = compile_partners(partners)
    if options.json:
        _print_json(
            {
                "problems": [],
                "digest": digest(partners),
                "outbound": dict(maps.outbound),
                "inbound": dict(maps.inbound),
                "networks": dict(maps.networks),
                "recipients": dict(maps.recipients),
                "rules": maps.rules.to_dict(),
            }
        )
        return
    rules = maps.rules
    for title, rows in (
        ("Outbound: the TLS policy by the recipient's domain", maps.outbound),
        ("Outbound, from the policy helper: dated policies, and subdomains", _policies(rules)),
        ("Inbound: the restriction by the sender's domain", maps.inbound),
        ("Networks: the restriction for the null sender by the client's address", maps.networks),
        ("Inbound, from the policy helper: what the client must show", _requirements(rules)),
        ("Observed: mail to these domains is counted", maps.recipients),
    ):
        print(f"# {title}")
        _print_table(rows)
        print()


def _policies(rules: PartnerRules) -> Iterator[tuple[str, ...]]:
    for one in rules.outbound:
        label = "only observed" if one.observe else ""
        for period in one.timeline.periods:
            yield one.key, f"until {period.until:%Y-%m-%d %H:%M} UTC", period.policy, label
        yield one.key, "then" if one.timeline.periods else "always", one.timeline.then, label


def _requirements(rules: PartnerRules) -> Iterator[tuple[str, ...]]:
    for one in rules.inbound:
        label = "only observed" if one.observe else ""
        for until, enough in (
            (one.plaintext_until, "plaintext is enough"),
            (one.encrypted_until, "TLS is enough"),
        ):
            if until:
                yield one.domain, f"until {until:%Y-%m-%d %H:%M} UTC", enough, "", label
        which = {"certificate": one.public_keys, "network": one.networks}.get(one.require, ())
        yield one.domain, "always", one.require, ", ".join(which), label


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    """Print columns two spaces apart, without padding the last one."""
    table = list(rows) or [("(none)",)]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        print("  ".join(cells).rstrip())


def _width(text: str) -> int:
    """Return how many columns the text has in a terminal: wide characters have two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )
