"""Changes one partner of a file to `mode: enforce`, with a comment that says why. Pure.

The reason is a comment above `mode`, not a key, because it describes this change and has no effect
on the gateway. It is reviewed in the pull request, and `fmt` keeps it.
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


def evidence_comment(day: date, seen: str) -> str:
    """Return the comment for a partner with enough evidence. `seen`: a summary of it."""
    return f"{_MARK}{day}: {seen}, all clean."


def override_comment(day: date, reason: str) -> str:
    """Return the comment for a partner that is enforced without enough evidence."""
    return f"{_MARK}{day} without enough evidence: {reason}"


def enforced_file(data: bytes, partner: Partner, comment: str) -> str:
    """Return the file's canonical text with this partner enforced, and `comment` above its mode.

    `data`: the file now; `partner`: as it was read before. Raises ProblemsError if the file has
    changed since.
    """
    formatted = format_file(data, partner.file)
    found: list[Problem] = list(formatted.problems)
    drafts = list(read_drafts(data, partner.file, None, found))
    place = next((n for n, draft in enumerate(drafts) if draft.partner == partner), None)
    if formatted.text is None or found or place is None:
        message, remedy = "has changed since it was read", "Run the command again"
        raise ProblemsError(found or [Problem(partner.file, 0, "", "changed", message, remedy)])
    text = _edited(formatted.text, place, comment)
    wanted = [
        replace(partner, mode=Mode.ENFORCE) if number == place else draft.partner
        for number, draft in enumerate(drafts)
    ]
    if [draft.partner for draft in read_drafts(text.encode(), partner.file, None, [])] != wanted:
        raise ValueError(f"{partner.file} would change in other ways too: nothing is written")
    return text


def _edited(text: str, place: int, comment: str) -> str:
    lines: list[str] = []
    document = 0
    for line in text.splitlines():
        if line == _BETWEEN:
            document += 1
        if document == place and line.partition("  #")[0] == _OBSERVED:
            while lines[-1].startswith(_MARK):
                lines.pop()
            lines += [comment, line.replace(_OBSERVED, f"mode: {Mode.ENFORCE}", 1)]
        else:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)
