"""Sentences that keep our own words apart from values that somebody else wrote.

A text is a tuple of strings. A `Value` in it came from a partner file, a log or the network: it is
shown, and never read as Markdown, HTML, a link or a mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tlsgate.problems import visible

VALUE_LENGTH = 200
SHOWN_VALUES = 5


class Value(str):
    """A value of unknown origin."""

    __slots__ = ()


Text = tuple[str, ...]


def value(text: object, limit: int = VALUE_LENGTH) -> Value:
    """Return a value as it is shown: on one line, of bounded length, nothing invisible in it."""
    shown = visible(str(text))
    return Value(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def listed(values: Sequence[object], limit: int = SHOWN_VALUES) -> Text:
    """Return values with commas between them, those beyond the limit as their number."""
    parts: list[str] = []
    for one in values[:limit]:
        parts += [", " if parts else "", value(one)]
    if len(values) > limit:
        parts.append(f" and {len(values) - limit} more")
    return tuple(parts)


def plain(text: Iterable[str]) -> str:
    """Return a text for a terminal or for JSON."""
    return "".join(text)


def markdown(text: Iterable[str]) -> str:
    """Return a text as Markdown (CommonMark, as GitHub and GitLab read it) on one line.

    Values become code spans, in which nothing has a meaning but the backticks that end them.
    """
    return "".join(_code(part) if isinstance(part, Value) else part for part in text)


def _code(text: str) -> str:
    shown = visible(text)
    if not shown.strip():
        return "(nothing)"
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    # One space on both sides is taken off again (CommonMark 6.1).
    pad = " " if longest or shown[0] == " " or shown[-1] == " " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
