"""`tlsgate probe`: what domains' mail servers show, and what they are ready for.

JSON (`--json`), one object on stdout; times are ISO 8601 in UTC, hashes lower-case hex:

    {"domains": [{
       "domain", "ready": ["pkix" | "dane" | "pin"], "listed": kind or null, "satisfied": bool,
       "sentence", "reasons": {kind: [{"code", "text", "remedy"}]}, "notes": [text],
       "mx_names": [name], "public_keys": [SHA-256 of SPKI],
       "mx": {"dnssec": bool, "implicit": bool, "missing": "absent" | "null_mx" | "lookup" or null,
              "hosts": [{"name", "preference", "dnssec": bool,
                         "tlsa": "usable" | "unusable" | "none" | "failed", "tlsa_records": [text],
                         "fault": text or null,
                         "servers": [{"address", "strict": session, "lenient": session or null,
                                      "certificate": {"names", "issuer", "not_before", "not_after",
                                                      "spki_sha256"} or null}]}]},
       "mta_sts": {"state": "none" | "enforce" | "testing" | "off" | "broken" | "unknown",
                   "detail", "mx": [pattern]},
       "tls_rpt": [address]}]}
    session: {"fault": word or null, "detail", "version", "cipher"}

`strict` is a session as the gateway makes it to a partner. If it fails, `lenient` shows what the
server has: without verification if the chain was not trusted, otherwise with weaker and weaker TLS.

`listed` is what the partner list requires; `satisfied`, whether that is met (for a domain that is
not listed: whether it is ready for pkix or dane). A list with problems: {"problems": […]}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_option
from tlsgate.commands.network_options import add_options, mail_domain, read_list, resolver_of

if TYPE_CHECKING:
    from tlsgate.probe.result import ProbeResult

_EPILOG = """\
examples:
  tlsgate probe acme.example
  tlsgate probe --resolver 127.0.0.1 --json acme.example parts.acme.example

Ready for pkix: every server that answers has a certificate of a public CA for the domain (or for
the names in the partner list). For dane: it has signed TLSA records that match. For pin: any key.
In each case, TLS must be as strong as the gateway requires of a partner: TLS 1.3, or TLS 1.2 with
forward secrecy and authenticated encryption, and an RSA key of at least 2048 bits or a P-256 key.
No message is sent, and a server gets one connection at a time.

exit status: 0 every domain meets what the list requires, or is ready for pkix or dane if it is not
listed; 1 otherwise, or the list has problems; 2 wrong usage
The JSON format is described at the top of tlsgate/commands/probe.py.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("domains", metavar="DOMAIN", nargs="+", type=mail_domain)
    add_options(parser)
    parser.add_argument(
        "--helo",
        metavar="NAME",
        default="",
        help="the host name to send in EHLO (default: the address)",
    )
    add_option(
        parser,
        "--parallel",
        old="--at-once",
        metavar="NUMBER",
        type=_positive,
        default=None,
        help="how many domains to probe at the same time",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_positive,
        default=30,
        help="for each session (default: 30)",
    )
    parser.set_defaults(run=_run)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    from tlsgate.probe.probe import AT_ONCE, ProbeSettings, probe_domains  # noqa: PLC0415
    from tlsgate.smtp.dialogue import Limits  # noqa: PLC0415  # --help must stay quick

    domains = list(dict.fromkeys(options.domains))
    partners = read_list(options, domains)
    if partners is None:
        return EXIT_PROBLEMS
    settings = ProbeSettings(
        resolver=resolver_of(options),
        partners=partners,
        extra_ca=options.extra_ca or "",
        limits=Limits(helo=options.helo, session_seconds=options.timeout),
        at_once=options.parallel or AT_ONCE,
    )
    try:
        results = probe_domains(domains, settings)
    except ValueError as fault:
        print(f"The partner list cannot be compiled: {fault}.", file=sys.stderr)
        return EXIT_PROBLEMS
    if options.json:
        print(json.dumps({"domains": [result.to_dict() for result in results]}, indent=2))
    else:
        for result in results:
            print("\n  ".join((result.sentence, *_facts(result))))
    return EXIT_OK if all(result.satisfied for result in results) else EXIT_PROBLEMS


def _facts(result: ProbeResult) -> Iterator[str]:
    """Yield the lines below the sentence."""
    for server in result.servers:
        shown, leaf = server.contact.shown, server.contact.certificate
        tls = shown.version or (shown.fault.value if shown.fault else "")
        until = f", a certificate of {leaf.issuer} until {leaf.not_after:%Y-%m-%d}" if leaf else ""
        yield f"{server.contact.place}: {tls}{until}"
    if result.route and result.servers:
        tlsa = ", ".join(sorted({host.dane.value for host in result.route.hosts}))
        reports = ", ".join(result.published.reports) or "none"
        yield (
            f"DNSSEC: {'signed' if result.route.secure else 'not signed'}, TLSA: {tlsa},"
            f" MTA-STS: {result.published.sts.value}, TLS-RPT: {reports}"
        )
    yield from (f"note: {note}" for note in result.notes)
    if result.mx_names and not result.satisfied:
        yield (
            f"ready for pkix with mx: [{', '.join(result.mx_names)}], if the partner confirms"
            " these names, which come from DNS alone"
        )
