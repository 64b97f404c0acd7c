"""The whole report, as Markdown for people and as JSON for programs.

JSON of a line: `{"kind", "weakened": bool, "partner", "successor", "domains": [key], "aspect",
"change", "effect", "file"}`. A key `acme.example` is that domain alone, `.acme.example` the names
below it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tlsgate.partners.diff import (
    ListDiff,
    Weakening,
    weakened_partners,
    weakening_digest,
    weakenings_of,
)
from tlsgate.problems import Problem
from tlsgate.review.lines import Kind, Line, describe_domains, report_lines
from tlsgate.review.text import Text, markdown, plain, value

TITLE = "Partner list"
_TITLES = {
    Kind.EXCEPTION_OPENED: "exception opened",
    Kind.EXCEPTION_PROLONGED: "exception prolonged",
    Kind.EXCEPTION_ENDED: "exception ended or shortened",
    Kind.NEUTRAL: "neutral",
}


@dataclass(frozen=True, slots=True)
class ReportSection:
    """An additional section of the report: a title and its lines."""

    title: str
    lines: tuple[Text, ...]
    data: Any
    """The same content as JSON values."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a change does. `sections`: each with its key in JSON."""

    lines: tuple[Line, ...]
    weakenings: tuple[Weakening, ...]
    partners: tuple[int, int]
    """The number of partners in the old and in the new list."""
    sections: tuple[tuple[str, ReportSection], ...] = ()

    @property
    def digest(self) -> str:
        """The digest of exactly these weakenings; "" if there are none."""
        return weakening_digest(self.weakenings)


def make_report(
    changes: ListDiff,
    partners: tuple[int, int],
    sections: tuple[tuple[str, ReportSection], ...] = (),
) -> Report:
    """Return the report of a change between lists of so many partners."""
    return Report(report_lines(changes), weakenings_of(changes), partners, sections)


def refusal_markdown(problems: Sequence[Problem], side: str, limit: int = 0) -> str:
    """Return the Markdown for a list that cannot be read; `side` is `base` or `head`."""
    which = "The new list" if side == "head" else "The list before this change"
    count = len(problems)
    head = [
        f"## {TITLE}: refused",
        "",
        f"{which} has {count} problem{'' if count == 1 else 's'}, so the change cannot be"
        " compared.",
        "",
    ]
    return _joined(head, [f"- {markdown((value(str(one), 600),))}" for one in problems], limit)


def to_markdown(report: Report, limit: int = 0) -> str:
    """Return the report as Markdown.

    With a limit (characters), lines are left out from the end, and their number is added. Weakened
    lines are first.
    """
    head = [f"## {TITLE}: {_summary(report)}", ""]
    if report.digest:
        names = weakened_partners(report.weakenings)
        share = f"{len(names)} of {report.partners[0]}"
        head += [
            f"This change weakens {share} partners and needs a reviewer who knows why. Exactly"
            f" this change, and no other, has the digest `{report.digest}`.",
            "",
        ]
    return _joined(head, list(_body(report)), limit)


def _joined(head: Sequence[str], body: Sequence[str], limit: int) -> str:
    lines = list(body)
    room = (limit or sys.maxsize) - sum(len(line) + 1 for line in head) - 100
    for number, line in enumerate(body):
        room -= len(line) + 1
        if room < 0:
            left = sum(bool(rest) for rest in body[number:])
            lines[number:] = ["", f"… and {left} more lines. `tlsgate partners diff` shows all."]
            break
    return "\n".join([*head, *lines]).rstrip("\n") + "\n"


def _summary(report: Report) -> str:
    if not report.lines:
        return "no change"
    counts = Counter(_title(line) for line in report.lines)
    return ", ".join(f"{number} {title}" for title, number in counts.items())


def _title(line: Line) -> str:
    return "WEAKENED" if line.weakened else _TITLES.get(line.kind, line.kind.value)


def _body(report: Report) -> Iterator[str]:
    title = ""
    for line in report.lines:
        if _title(line) != title:
            if title:
                yield ""
            title = _title(line)
            yield f"### {title if line.weakened else title.capitalize()}"
            yield ""
        yield f"- {markdown(_line_text(line))}"
    for _, section in report.sections:
        yield ""
        yield f"### {section.title}"
        yield ""
        yield from (f"- {markdown(text)}" for text in section.lines)


def _line_text(line: Line) -> Text:
    weakened = ("**WEAKENED** ",) if line.weakened else ()
    owner: Text = (value(line.partner),)
    if line.successor not in ("", line.partner) and line.aspect != "partner":
        owner = (*owner, " (now ", value(line.successor), ")")
    where = (" (", *describe_domains(line.keys), ")") if line.keys else ()
    return (*weakened, *owner, *where, ": ", *line.change, "; ", *line.effect)


def to_json(report: Report) -> dict[str, Any]:
    """Return the report as JSON values."""
    old, new = report.partners
    return {
        "problems": [],
        "partners": {"base": old, "head": new},
        "weakened": list(weakened_partners(report.weakenings)),
        "weakening_digest": report.digest or None,
        "changes": [
            {
                "kind": line.kind.value,
                "weakened": line.weakened,
                "partner": line.partner,
                "successor": line.successor,
                "domains": list(line.keys),
                "aspect": line.aspect,
                "change": plain(line.change),
                "effect": plain(line.effect),
                "file": line.file,
            }
            for line in report.lines
        ],
        **{name: section.data for name, section in report.sections},
    }
