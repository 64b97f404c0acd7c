"""What is wrong with the user's input, as values that are collected, sorted and shown together.

A problem says where it is, what is wrong and what to write instead. One run shows everything that
must be fixed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SHOWN_LENGTH = 80


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to fix. Problems are sorted by file and line."""

    file: str
    """Relative to the working directory; empty if the problem is not in a file."""
    line: int
    """Counted from 1; 0 means the whole file."""
    key: str
    """`domains[1]`, `outbound.mx`, `tlsgate:acme.directory`; empty if there is none."""
    code: str
    """Kebab-case and stable, such as `unknown-key`: for filters and searches."""
    message: str
    """What is wrong, without a full stop."""
    remedy: str
    """What to write or do instead, without a full stop."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        where = "".join(f"{part}: " for part in (place, self.key) if part)
        remedy = f" {_sentence(self.remedy)}" if self.remedy else ""
        return f"{where}{_sentence(self.message)}{remedy} [{self.code}]"

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form: the fields by their names."""
        return {name: getattr(self, name) for name in self.__slots__}


class ProblemsError(Exception):
    """The input is refused; `problems` holds every reason, sorted."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        count = len(self.problems)
        total = f"{count} problem{'' if count == 1 else 's'}."
        return "\n".join([*(str(problem) for problem in self.problems), total])


def shown(text: str) -> str:
    """Quote text of unknown origin for a message: short, on one line, unprintables escaped."""
    cut = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
    return f"`{visible(cut)}`"


def visible(text: str) -> str:
    """Escape unprintable characters (control, bidirectional, lone surrogates)."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
