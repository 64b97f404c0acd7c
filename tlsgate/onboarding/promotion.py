"""A partner file in which one partner is enforced, with a comment that says on what ground. Pure.

The ground is a comment above `mode`, for it is a fact about this change and no rule: it asks
nothing of the gateway, is reviewed in the pull request that brings it, and `fmt` keeps it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from tlsgate.partners.canonical import format_file
from tlsgate.partners.load import read_drafts
from tlsgate.partners.model import Mode, Partner
from tlsgate.problems import Problem, ProblemsError

_MARK = "# Enforced since "
_BETWEEN = "---"
_OBSERVED = "mode: observe"


def ground_of_evidence(day: date, seen: str) -> str:
    """The comment for a partner with enough evidence; `seen`: what was seen, in words."""
    return f"{_MARK}{day}: {seen}, all clean."


def ground_of_override(day: date, reason: str) -> str:
    """The comment for a partner that is enforced without it."""
    return f"{_MARK}{day} without enough evidence: {reason}"


def promoted(data: bytes, partner: Partner, ground: str) -> str:
    """Return the file's canonical text with this partner enforced, and `ground` above its mode.

    `data`: the file as it is; `partner`: as it was read from there. Raises ProblemsError if the
    file is another one now.
    """
    formatted = format_file(data, partner.file)
    found: list[Problem] = list(formatted.problems)
    drafts = list(read_drafts(data, partner.file, None, found))
    place = next((n for n, draft in enumerate(drafts) if draft.partner == partner), None)
    if formatted.text is None or found or place is None:
        message, remedy = "has changed while it was looked at", "Run the command again"
        raise ProblemsError(found or [Problem(partner.file, 0, "", "changed", message, remedy)])
    text = _edited(formatted.text, place, ground)
    wanted = [
        replace(partner, mode=Mode.ENFORCE) if number == place else draft.partner
        for number, draft in enumerate(drafts)
    ]
    if [draft.partner for draft in read_drafts(text.encode(), partner.file, None, [])] != wanted:
        raise ValueError(f"{partner.file} would say something else: nothing is written")
    return text


def _edited(text: str, place: int, ground: str) -> str:
    lines: list[str] = []
    document = 0
    for line in text.splitlines():
        if line == _BETWEEN:
            document += 1
        if document == place and line.partition("  #")[0] == _OBSERVED:
            while lines[-1].startswith(_MARK):
                lines.pop()
            lines += [ground, line.replace(_OBSERVED, f"mode: {Mode.ENFORCE}", 1)]
        else:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)
