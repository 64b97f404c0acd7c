"""Texts that keep our own words apart from values that somebody else wrote.

A text is a tuple of strings. A `Value` in it comes from a partner file, a log or the network. It is
shown, but never interpreted as Markdown, HTML, a link or a mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tlsgate.problems import visible

VALUE_LENGTH = 200
SHOWN_VALUES = 5


class Value(str):
    """A value that somebody else wrote."""

    __slots__ = ()


Text = tuple[str, ...]


def value(text: object, limit: int = VALUE_LENGTH) -> Value:
    """Return a value as it is shown: on one line, shortened, with invisible characters escaped."""
    shown = visible(str(text))
    return Value(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def listed(values: Sequence[object], limit: int = SHOWN_VALUES) -> Text:
    """Return values separated by commas; of those beyond the limit, only their number."""
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

    Values become code spans, in which only backticks have a meaning.
    """
    return "".join(_code(part) if isinstance(part, Value) else part for part in text)


def _code(text: str) -> str:
    shown = visible(text)
    if not shown.strip():
        return "(nothing)"
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    # One space on both sides is removed when rendered (CommonMark 6.1).
    pad = " " if longest or shown[0] == " " or shown[-1] == " " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
