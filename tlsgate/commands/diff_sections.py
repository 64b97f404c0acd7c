"""Optional sections of `tlsgate partners diff`: past mail under the new list, and the probe."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tlsgate.commands.network_options import add_network_options, resolver_of
from tlsgate.partners.diff import ListDiff
from tlsgate.partners.model import Partner
from tlsgate.review.maillog import read_log
from tlsgate.review.replay import replay, replay_section
from tlsgate.review.report import ReportSection
from tlsgate.review.text import Text, value

if TYPE_CHECKING:
    from tlsgate.probe.result import ProbeResult

PROBED = 200
"""Domains that are probed at most; the report says how many were left out."""
_SENTENCE = 600


class SectionError(Exception):
    """A section cannot be made; the message says why."""


def add_sections(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("optional sections of the report")
    group.add_argument(
        "--replay",
        metavar="LOG",
        type=Path,
        help="what the new list would have done with the mail in this log of the gateway",
    )
    group.add_argument(
        "--days",
        metavar="NUMBER",
        type=_days,
        default=14,
        help="with --replay: how many days of the log to use (default: 14)",
    )
    group.add_argument(
        "--probe",
        action="store_true",
        help="probe the servers of each domain whose rule changes",
    )
    add_network_options(group)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return int(text)


def more_sections(
    options: argparse.Namespace,
    changes: ListDiff,
    old: Sequence[Partner],
    new: Sequence[Partner],
    today: date,
) -> Iterator[tuple[str, ReportSection]]:
    """Yield the requested sections, each with its key in JSON. Raises SectionError."""
    if options.replay is not None:
        since = today - timedelta(days=options.days)
        try:
            with options.replay.open(encoding="utf-8", errors="replace") as lines:
                tallies = replay(read_log(lines, today), old, new, since)
        except OSError as error:
            raise SectionError(f"{options.replay}: cannot be read ({error.strerror})") from None
        yield "replay", replay_section(tallies, options.days)
    if options.probe:
        domains = _changed_domains(changes)
        yield "probe", _probe_section(_probe(options, changes, domains[:PROBED]), len(domains))


def _changed_domains(changes: ListDiff) -> list[str]:
    """Return the domains of the new list whose rule has changed."""
    return [
        change.key
        for change in changes.domains
        if change.new is not None and change.differences and change.key in change.new.domains
    ]


def _probe(
    options: argparse.Namespace, changes: ListDiff, domains: Sequence[str]
) -> Sequence[ProbeResult]:
    from tlsgate.probe.probe import ProbeSettings, probe_domains  # noqa: PLC0415  # slow to load

    owners = {one.new.name: one.new for one in changes.domains if one.new is not None}
    settings = ProbeSettings(
        resolver=resolver_of(options),
        partners=tuple(owners.values()),
        extra_ca=options.extra_ca or "",
    )
    try:
        return probe_domains(domains, settings)
    except (OSError, ValueError) as error:
        raise SectionError(f"the probe failed: {error}") from None


def _probe_section(results: Sequence[ProbeResult], wanted: int) -> ReportSection:
    lines: list[Text] = [
        ("ready: " if result.satisfied else "**not ready**: ", value(result.sentence, _SENTENCE))
        for result in results
    ]
    left_out = wanted - len(results)
    if left_out:
        lines.append((f"and {left_out} more domains, which were not probed",))
    data = {"domains": [result.to_dict() for result in results], "left_out": left_out}
    none: list[Text] = [("no domain has a new rule",)]
    return ReportSection("What the servers show today", tuple(lines or none), data)
