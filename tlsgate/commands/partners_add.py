"""`tlsgate partners add`: a new partner's file, from what its servers show and what people agreed.

The file, in `mode: observe`, goes out by pull request like any other change; the letter goes to the
partner. Nothing is written unless the list that it makes is all right.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_own_domains
from tlsgate.commands.looking import add_network_options, mail_domain, resolver_of
from tlsgate.onboarding.questions import Answers, Given, MissingError, Person, collect
from tlsgate.partners.entries import Entry, folder_entries
from tlsgate.partners.format import to_yaml
from tlsgate.partners.importing import Defaults, Row, Source, new_files, read_rows
from tlsgate.partners.load import load_entries
from tlsgate.partners.model import Mode, Partner, Require, Verify
from tlsgate.partners.record import Draft
from tlsgate.partners.values import RefusedError, parse_address, parse_date
from tlsgate.problems import Problem, ProblemsError, shown, visible

T = TypeVar("T")

EXIT_USAGE = 2

SUMMARY = "write a new partner's file, in `mode: observe`, and the letter to the partner"
_EPILOG = """\
Probes the domains' servers, asks what cannot be found out, and writes one file. --yes asks
nothing: it takes what is found, and tells all that is missing. What only DNS says (certificate
names other than the domain's, keys) must be confirmed by the partner: it is asked, or given as --mx
or --server-key. --verify pkix without --mx asks for the domain's own name whatever is found.

examples:
  tlsgate partners add acme.example --own-domain corp.example
  tlsgate partners add acme.example --own-domain corp.example --name "Acme Motors AG" --yes
  tlsgate partners add acme.example parts.acme.example --own-domain corp.example --letter acme.txt

exit status: 0 written; 1 the list has problems, or would have; 2 wrong usage, or something missing
The letter is written to standard output or to a file, all else to standard error.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("domains", metavar="DOMAIN", nargs="+", type=mail_domain)
    _add_record_options(parser.add_argument_group("the record"))
    add_own_domains(parser)
    parser.add_argument(
        "--ask",
        metavar="ADDRESS",
        type=_read_by(parse_address),
        help="where the partner asks (default: our postmaster@)",
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        default=Path("partners"),
        help="the folder of partner files (default: partners)",
    )
    parser.add_argument(
        "--letter", metavar="FILE", type=Path, help="a new file for the letter (default: print it)"
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    add_network_options(parser)
    parser.set_defaults(run=_run)


def _add_record_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--name", help="the organisation")
    for option, metavar, parse, default in (
        ("--contact", "ADDRESS", _read_by(parse_address), "postmaster@ the first domain"),
        ("--agreed", "DATE", _read_by(parse_date), "today"),
        ("--review", "DATE", _read_by(parse_date), "a year after the agreement"),
    ):
        group.add_argument(option, metavar=metavar, type=parse, help=f"default: {default}")
    group.add_argument(
        "--no-subdomains", action="store_true", help="the domains alone, not what is below them"
    )
    group.add_argument(
        "--verify",
        choices=[one.value for one in Verify],
        help="what proves the partner's servers (default: the best that they are ready for)",
    )
    group.add_argument(
        "--ca", metavar="FILE", type=_text, help="with --verify private-ca: the partner's CA, PEM"
    )
    group.add_argument(
        "--inbound",
        choices=[one.value for one in Require],
        default=Require.TLS.value,
        help="what a client must show that sends in the partner's name (default: tls)",
    )
    for option, metavar, what in (
        ("--mx", "NAME", "a certificate name that the partner confirms"),
        ("--server-key", "SHA256", "with --verify pin: the key of a server"),
        ("--client-key", "SHA256", "with --inbound certificate: the key of a client"),
        ("--network", "CIDR", "a block that the partner sends from"),
    ):
        group.add_argument(
            option, action="append", default=[], metavar=metavar, help=f"{what}; may be repeated"
        )


def _read_by(parse: Callable[[str], T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return parse(text)
        except RefusedError as refusal:
            message = f"{shown(text)} {refusal.message}. {refusal.remedy}"
            raise argparse.ArgumentTypeError(message) from None

    return read


def _text(path: str) -> str:
    try:
        return Path(path).read_text("ascii")
    except OSError as fault:
        raise argparse.ArgumentTypeError(f"{shown(path)}: {fault.strerror}") from None
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shown(path)} is not a PEM file") from None


def _run(options: argparse.Namespace) -> int:
    try:
        return _add(options)
    except ProblemsError as error:
        print(error, file=sys.stderr)
        return EXIT_PROBLEMS
    except MissingError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE


def _add(options: argparse.Namespace) -> int:
    from tlsgate.onboarding.letter import letter  # noqa: PLC0415  # slow to load, as are these
    from tlsgate.onboarding.ourselves import look_at_ourselves  # noqa: PLC0415
    from tlsgate.onboarding.proposal import judged, propose  # noqa: PLC0415
    from tlsgate.probe.probe import ProbeSettings, probe_domains  # noqa: PLC0415

    domains = list(dict.fromkeys(options.domains))
    _refuse_listed(domains, load_entries(folder_entries(options.folder)))
    _refuse_existing(options.letter)
    resolver, extra_ca = resolver_of(options), options.extra_ca or ""
    results = probe_domains(domains, ProbeSettings(resolver, extra_ca=extra_ca))
    for result in results:
        print(visible(result.sentence), file=sys.stderr)
    proposal = propose(results, _verify(options))
    person = None if options.yes or not sys.stdin.isatty() else _person()
    answers = collect(_given(options, domains[0]), proposal, _today(), person)
    draft = _draft(_values(options, domains, answers, proposal.verify))
    partner, path, text = _checked(draft, options.folder, answers.own_domains)
    ours = look_at_ourselves(answers.own_domains, resolver, extra_ca)
    found = judged(results, partner)
    told = letter(partner, found, ours, answers.ask)
    _write_both(path, text, options.letter, told)
    print(f"{visible(str(path))}: written, in mode {partner.mode}", file=sys.stderr)
    if options.letter is None:
        print(told, end="")
    else:
        print(f"{visible(str(options.letter))}: the letter, for {partner.contact}", file=sys.stderr)
    return EXIT_OK


def _today() -> date:
    """Return the day where the command runs; the only look at the clock."""
    return date.today()


def _person() -> Person:
    def say(text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)

    return Person(sys.stdin.readline, say)


def _refuse_listed(domains: Sequence[str], there: Sequence[Partner]) -> None:
    listed = {domain: partner.file for partner in there for domain in partner.domains}
    message, remedy = "is on the list already", "Change that file: no record is changed here"
    problems = [
        Problem(listed[domain], 0, domain, "already-listed", message, remedy)
        for domain in domains
        if domain in listed
    ]
    if problems:
        raise ProblemsError(problems)


def _refuse_existing(path: Path | None) -> None:
    if path is not None and (path.exists() or path.is_symlink()):
        message, remedy = "is there already, and is not overwritten", "Name a new file"
        raise ProblemsError([Problem(visible(str(path)), 0, "", "exists", message, remedy)])


def _verify(options: argparse.Namespace) -> Verify | None:
    """What is asked for, if only by what is given for it."""
    if options.verify:
        return Verify(options.verify)
    if options.ca:
        return Verify.PRIVATE_CA
    if options.server_key:
        return Verify.PIN
    return Verify.PKIX if options.mx else None


def _given(options: argparse.Namespace, domain: str) -> Given:
    return Given(
        domain,
        options.name,
        options.contact,
        options.agreed,
        options.review,
        tuple(options.own_domains),
        options.ask,
        tuple(options.mx),
        tuple(options.server_key),
    )


def _values(
    options: argparse.Namespace, domains: Sequence[str], answers: Answers, verify: Verify
) -> dict[str, Any]:
    """The record as a file would say it."""
    outbound = {
        "verify": verify.value,
        "mx": list(answers.mx),
        "public_keys": list(answers.server_keys),
        "ca": options.ca,
    }
    inbound = {
        "require": options.inbound,
        "public_keys": options.client_key,
        "networks": options.network,
    }
    return {
        "name": answers.name,
        "contact": answers.contact,
        "agreed": answers.agreed.isoformat(),
        "review": answers.review.isoformat(),
        "mode": Mode.OBSERVE.value,
        "domains": list(domains),
        "subdomains": not options.no_subdomains,
        "outbound": {key: value for key, value in outbound.items() if value},
        "inbound": {key: value for key, value in inbound.items() if value},
    }


def _draft(values: dict[str, Any]) -> Draft:
    """The record that the values make; raises ProblemsError with all that is wrong."""
    source = Source("", "")
    (draft,) = read_rows([Row(0, values)], source, Defaults(date.min, date.min))
    if source.problems:
        raise ProblemsError(source.problems)
    return draft


def _checked(draft: Draft, folder: Path, own_domains: Sequence[str]) -> tuple[Partner, Path, str]:
    """The partner, the new file's path and its text, once the list is all right with it."""
    ((name, _),) = new_files([draft], [path.name for path in folder.iterdir()])
    path = folder / name
    text = to_yaml(draft.partner) if draft.partner else ""
    entry = Entry(visible(str(path)), None, text.encode)
    entries = [*folder_entries(folder), entry]
    partners = load_entries(entries, own_domains=own_domains, today=_today())
    return next(one for one in partners if one.file == entry.file), path, text


def _write_both(path: Path, text: str, letter: Path | None, told: str) -> None:
    """The letter, if it goes into a file, and the record: both, or none."""
    if letter is None:
        _write_new(path, text)
        return
    _write_new(letter, told)
    try:
        _write_new(path, text)
    except ProblemsError:
        letter.unlink()
        raise


def _write_new(path: Path, text: str) -> None:
    """Put a whole new file there, or none; what is there already stays as it is."""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                os.fchmod(stream.fileno(), 0o644)
                stream.write(text)
            os.link(temporary, path)
        finally:
            Path(temporary).unlink()
    except OSError as error:
        message = f"cannot be written ({error.strerror})"
        remedy = "Nothing there was changed; see that it can be"
        raise ProblemsError(
            [Problem(visible(str(path)), 0, "", "unwritable", message, remedy)]
        ) from None
