"""`tlsgate partners add`: writes a new partner's file, from a probe of its servers and answers.

The file, in `mode: observe`, is proposed by pull request like any other change; the letter is sent
to the partner. Nothing is written unless the list is valid with the new file.
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
from tlsgate.commands.arguments import add_folder, add_option, add_own_domains
from tlsgate.commands.network_options import add_network_options, mail_domain, resolver_of
from tlsgate.onboarding.prompts import (
    Answers,
    GivenAnswers,
    MissingAnswersError,
    Prompter,
    collect_answers,
)
from tlsgate.partners.entries import FolderEntry, folder_entries
from tlsgate.partners.format import to_yaml
from tlsgate.partners.importing import Defaults, Row, Source, new_files, read_rows
from tlsgate.partners.load import load_entries
from tlsgate.partners.model import Mode, Partner, Require, Verify
from tlsgate.partners.record import Draft
from tlsgate.partners.values import InvalidValueError, parse_address, parse_date
from tlsgate.problems import Problem, ProblemsError, shown, visible

T = TypeVar("T")

EXIT_USAGE = 2

SUMMARY = "write a new partner's file, in `mode: observe`, and the letter to the partner"
_EPILOG = """\
Probes the domains' servers, prompts for what cannot be found out, and writes one file. With
--non-interactive there are no prompts: defaults are used, and everything missing is reported. What
comes from DNS alone (certificate names other than the domain's, keys) must be confirmed by the
partner: in the prompt, or as --mx or --server-key. --verify pkix without --mx requires the domain's
own name, whatever the servers show.

examples:
  tlsgate partners add acme.example --own-domain corp.example
  tlsgate partners add acme.example --own-domain corp.example --name Acme --non-interactive
  tlsgate partners add acme.example parts.acme.example --own-domain corp.example --letter acme.txt

exit status: 0 written; 1 the list has problems, or would have; 2 wrong usage, or missing answers
The letter is written to standard output or to a file, everything else to standard error.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("domains", metavar="DOMAIN", nargs="+", type=mail_domain)
    _add_record_options(parser.add_argument_group("the record"))
    add_own_domains(parser)
    add_option(
        parser,
        "--own-contact",
        old="--ask",
        metavar="ADDRESS",
        type=_read_by(parse_address),
        help="your own address for the partner's questions (default: your postmaster@)",
    )
    add_folder(parser, old="--folder")
    parser.add_argument(
        "--letter", metavar="FILE", type=Path, help="a new file for the letter (default: print it)"
    )
    add_option(parser, "--non-interactive", old="--yes", action="store_true", help="do not prompt")
    add_network_options(parser)
    parser.set_defaults(run=_run)


def _add_record_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--name", help="the organisation's name")
    for option, metavar, parse, default in (
        ("--contact", "ADDRESS", _read_by(parse_address), "postmaster@ the first domain"),
        ("--agreed", "DATE", _read_by(parse_date), "today"),
        ("--review", "DATE", _read_by(parse_date), "a year after the agreement"),
    ):
        group.add_argument(option, metavar=metavar, type=parse, help=f"default: {default}")
    group.add_argument(
        "--no-subdomains",
        action="store_true",
        help="only the domains themselves, not the names below them",
    )
    group.add_argument(
        "--verify",
        choices=[one.value for one in Verify],
        help="how the partner's servers prove their identity (default: the best that works)",
    )
    group.add_argument(
        "--ca",
        metavar="FILE",
        type=_text,
        help="with --verify private-ca: PEM file of the partner's CA",
    )
    group.add_argument(
        "--inbound",
        choices=[one.value for one in Require],
        default=Require.TLS.value,
        help="what a client must show that sends the partner's mail (default: tls)",
    )
    for option, metavar, what in (
        ("--mx", "NAME", "a certificate name that the partner has confirmed"),
        ("--server-key", "SHA256", "with --verify pin: the SHA-256 of a server's key"),
        ("--client-key", "SHA256", "with --inbound certificate: the SHA-256 of a client's key"),
        ("--network", "CIDR", "a network that the partner sends from"),
    ):
        group.add_argument(
            option, action="append", default=[], metavar=metavar, help=f"{what}; can be repeated"
        )


def _read_by(parse: Callable[[str], T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return parse(text)
        except InvalidValueError as refusal:
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
    except MissingAnswersError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE


def _add(options: argparse.Namespace) -> int:
    from tlsgate.onboarding.letter import letter  # noqa: PLC0415  # these are slow to load
    from tlsgate.onboarding.own_domains import look_up_own_domains  # noqa: PLC0415
    from tlsgate.onboarding.proposal import compare_with_record, propose  # noqa: PLC0415
    from tlsgate.probe.probe import ProbeSettings, probe_domains  # noqa: PLC0415

    domains = list(dict.fromkeys(options.domains))
    _refuse_listed(domains, load_entries(folder_entries(options.folder)))
    _refuse_existing(options.letter)
    resolver, extra_ca = resolver_of(options), options.extra_ca or ""
    results = probe_domains(domains, ProbeSettings(resolver, extra_ca=extra_ca))
    for result in results:
        print(visible(result.sentence), file=sys.stderr)
    proposal = propose(results, _verify(options))
    prompter = None if options.non_interactive or not sys.stdin.isatty() else _prompter()
    answers = collect_answers(_given(options, domains[0]), proposal, _today(), prompter)
    draft = _draft(_values(options, domains, answers, proposal.verify))
    partner, path, text = _checked(draft, options.folder, answers.own_domains)
    ours = look_up_own_domains(answers.own_domains, resolver, extra_ca)
    found = compare_with_record(results, partner)
    letter_text = letter(partner, found, ours, answers.ask)
    _write_both(path, text, options.letter, letter_text)
    print(f"{visible(str(path))}: written, in mode {partner.mode}", file=sys.stderr)
    if options.letter is None:
        print(letter_text, end="")
    else:
        print(f"{visible(str(options.letter))}: the letter, for {partner.contact}", file=sys.stderr)
    return EXIT_OK


def _today() -> date:
    """Return today's local date; the clock is read only here."""
    return date.today()


def _prompter() -> Prompter:
    def say(text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)

    return Prompter(sys.stdin.readline, say)


def _refuse_listed(domains: Sequence[str], existing: Sequence[Partner]) -> None:
    listed = {domain: partner.file for partner in existing for domain in partner.domains}
    message, remedy = "is already on the list", "Edit that file: this command changes no record"
    problems = [
        Problem(listed[domain], 0, domain, "already-listed", message, remedy)
        for domain in domains
        if domain in listed
    ]
    if problems:
        raise ProblemsError(problems)


def _refuse_existing(path: Path | None) -> None:
    if path is not None and (path.exists() or path.is_symlink()):
        message, remedy = "already exists, and is not overwritten", "Choose a new file"
        raise ProblemsError([Problem(visible(str(path)), 0, "", "exists", message, remedy)])


def _verify(options: argparse.Namespace) -> Verify | None:
    """Return the requested way to verify: from --verify, or from an option that implies it."""
    if options.verify:
        return Verify(options.verify)
    if options.ca:
        return Verify.PRIVATE_CA
    if options.server_key:
        return Verify.PIN
    return Verify.PKIX if options.mx else None


def _given(options: argparse.Namespace, domain: str) -> GivenAnswers:
    return GivenAnswers(
        domain,
        options.name,
        options.contact,
        options.agreed,
        options.review,
        tuple(options.own_domains),
        options.own_contact,
        tuple(options.mx),
        tuple(options.server_key),
    )


def _values(
    options: argparse.Namespace, domains: Sequence[str], answers: Answers, verify: Verify
) -> dict[str, Any]:
    """Return the record as in a partner file."""
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
    """Return the record of these values. Raises ProblemsError with all problems."""
    source = Source("", "")
    (draft,) = read_rows([Row(0, values)], source, Defaults(date.min, date.min))
    if source.problems:
        raise ProblemsError(source.problems)
    return draft


def _checked(draft: Draft, folder: Path, own_domains: Sequence[str]) -> tuple[Partner, Path, str]:
    """Return the partner, the new file's path and its text; the list is valid with the file."""
    ((name, _),) = new_files([draft], [path.name for path in folder.iterdir()])
    path = folder / name
    text = to_yaml(draft.partner) if draft.partner else ""
    entry = FolderEntry(visible(str(path)), None, text.encode)
    entries = [*folder_entries(folder), entry]
    partners = load_entries(entries, own_domains=own_domains, today=_today())
    return next(one for one in partners if one.file == entry.file), path, text


def _write_both(path: Path, text: str, letter: Path | None, letter_text: str) -> None:
    """Write the record and, if it goes into a file, the letter: both or none."""
    if letter is None:
        _write_new(path, text)
        return
    _write_new(letter, letter_text)
    try:
        _write_new(path, text)
    except ProblemsError:
        letter.unlink()
        raise


def _write_new(path: Path, text: str) -> None:
    """Create a file with its whole content; an existing file is never changed."""
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
        remedy = "Nothing was changed; check the permissions"
        raise ProblemsError(
            [Problem(visible(str(path)), 0, "", "unwritable", message, remedy)]
        ) from None
