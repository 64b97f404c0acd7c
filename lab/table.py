"""The demo's table. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lab.cases import InboundCase, OutageCase
from lab.trial import CaseResult

HEADER = ("peer", "direction", "what", "expected", "seen", "TLS", "reason")
REASON_WIDTH = 88


def render_table(results: Sequence[CaseResult]) -> str:
    """One line for each case; a line whose result is not the expected one starts with `!`."""
    rows = [(" ", *HEADER), *(("!" if one.fault else " ", *_row(one)) for one in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _row(one: CaseResult) -> tuple[str, ...]:
    case = one.case
    reason = f"{one.fault}; {one.reason}".rstrip("; ") if one.fault else one.reason
    short = reason if len(reason) <= REASON_WIDTH or one.fault else reason[: REASON_WIDTH - 1] + "…"
    if isinstance(case, InboundCase):
        session = f"{case.title}, {'TLS' if case.tls else 'plaintext'}"
        return (case.via, "in", session, str(case.expected), one.outcome, one.tls, short)
    if isinstance(case, OutageCase):
        expected = "sent" if case.expected == "sent" else "held, then sent"
        return (case.peer, "out", case.title, expected, one.outcome, one.tls or "-", short)
    return (case.peer, "out", case.title, case.expected, one.outcome, one.tls or "-", short)
