"""Reads one JSON object of the configuration: typed values, and problems that name their key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tlsgate.problems import Problem


@dataclass(slots=True)
class JsonObject:
    """`path` leads to the object, such as `challenge.`. Wrong values are reported and replaced by
    empty ones, so that one mistake does not hide the next.
    """

    file_name: str
    path: str
    values: Mapping[str, object]
    problems: list[Problem]
    taken: set[str] = field(default_factory=set)

    def problem(self, key: str, message: str, remedy: str) -> None:
        """Reports what is wrong with a key."""
        full = f"{self.path}{key}"
        self.problems.append(Problem(self.file_name, 0, full, "bad-value", message, remedy))

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._take(key)
        if isinstance(value, str) and value:
            return value
        what = "is missing" if value is None else f"is {value!r}"
        self.problem(key, what, "Write a string in quotes")
        return ""

    def optional_text(self, key: str) -> str | None:
        """A string, or None where there is none."""
        return None if self._take(key) is None else self.text(key)

    def texts(self, key: str, *, required: bool = True) -> tuple[str, ...]:
        """A list of strings."""
        value = self._take(key)
        if value is None and not required:
            return ()
        if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
            if value or not required:
                return tuple(value)
            self.problem(key, "is empty", "Name at least one")
            return ()
        what = "is missing" if value is None else f"is {value!r}"
        self.problem(key, what, "Write a list of strings")
        return ()

    def number(self, key: str, *, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.problem(key, f"is {value!r}", f"Write a whole number from {low} to {high}")
        return default

    def flag(self, key: str) -> bool:
        """True or false; false where there is none."""
        value = self._take(key)
        if isinstance(value, bool) or value is None:
            return bool(value)
        self.problem(key, f"is {value!r}", "Write true or false")
        return False

    def file(self, key: str) -> Path:
        """The path of something that exists."""
        text = self.text(key)
        if text and not Path(text).exists():
            self.problem(
                key, f"names {text}, which does not exist", "Mount it, or correct the path"
            )
        return Path(text)

    def optional_file(self, key: str) -> Path | None:
        """The path of something that exists, or None."""
        return None if self._take(key) is None else self.file(key)

    def section(self, key: str) -> JsonObject | None:
        """An object below this one, or None where there is none."""
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, dict):
            return JsonObject(self.file_name, f"{self.path}{key}.", value, self.problems)
        self.problem(key, f"is {value!r}", "Write an object")
        return None

    def sections(self, key: str) -> Iterator[JsonObject]:
        """The objects of a list that is not empty."""
        value = self._take(key)
        if not isinstance(value, list) or not value:
            self.problem(key, "is not a list with at least one object", "Write a list of objects")
            return
        for index, entry in enumerate(value):
            place = f"{self.path}{key}[{index}]"
            if isinstance(entry, dict):
                yield JsonObject(self.file_name, f"{place}.", entry, self.problems)
            else:
                self.problem(f"{key}[{index}]", f"is {entry!r}", "Write an object")

    def finish(self) -> None:
        """Reports the keys that nobody read."""
        for key in sorted(self.values.keys() - self.taken):
            self.problem(key, "is not a known key", f"Known here: {', '.join(sorted(self.taken))}")

    def _take(self, key: str) -> object:
        self.taken.add(key)
        return self.values.get(key)
