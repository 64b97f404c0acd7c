"""Reads nested configuration values and collects every problem with its key.

A `ConfigReader` reads one mapping. Each method reads one key; `finish` reports the keys that were
not read, so that a misspelt key is never ignored. A wrong value is reported and replaced by the
default, so that one mistake does not hide the next.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tlsgate.problems import Problem

T = TypeVar("T")
Locate = Callable[[str], tuple[str, int]]
"""Returns the file and line of a config key, such as `tlsgate:acme.contact`."""


@dataclass(slots=True)
class ConfigReader:
    """One mapping of the configuration, and its path."""

    values: Mapping[str, object]
    path: str
    """`tlsgate:` for the top mapping; `tlsgate:acme.` for a section."""
    problems: list[Problem]
    locate: Locate
    taken: list[str] = field(default_factory=list)

    def problem(self, key: str, code: str, message: str, remedy: str) -> None:
        """Report a problem with `key` of this mapping."""
        full = f"{self.path}{key}"
        file, line = self.locate(full)
        self.problems.append(Problem(file, line, full, code, message, remedy))

    def take(self, key: str) -> object:
        """Return the raw value; None if there is none."""
        self.taken.append(key)
        return self.values.get(key)

    def text(self, key: str, default: str | None = None, *, remedy: str = "") -> str:
        """Return a non-empty string. Without a default, the key is required."""
        value = self.take(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value
        if value is None:
            self.problem(key, "missing", "is missing", remedy or "Write a string")
        elif isinstance(value, str) and value.strip():
            message = f"{value!r} contains a line end or another invisible character"
            self.problem(key, "not-printable", message, remedy or "Write it on one line")
        elif isinstance(value, str):
            self.problem(key, "empty", "is empty", remedy or "Write a string, or remove the key")
        else:
            message = f"{value!r} must be a string"
            self.problem(key, "not-text", message, remedy or "Write a string")
        return default or ""

    def optional_text(self, key: str) -> str | None:
        """Return a string; None if the key is not set, or if its value was reported."""
        if self.values.get(key) is None:
            self.taken.append(key)
            return None
        return self.text(key) or None

    def integer(self, key: str, default: int, *, low: int, high: int) -> int:
        """Return an integer from `low` to `high`."""
        value = self.take(key)
        if value is None:
            return default
        try:
            number = int(value) if isinstance(value, str | int) and value is not True else None
        except ValueError:
            number = None
        if number is None or not low <= number <= high:
            message = f"{value!r} is not a whole number from {low} to {high}"
            self.problem(key, "bad-number", message, f"Write a number, such as {default}")
            return default
        return number

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.take(key)
        if value is None:
            return default
        if value in (True, "true"):
            return True
        if value not in (False, "false"):
            self.problem(
                key, "not-a-flag", f"{value!r} is not true or false", "Write true or false"
            )
            return default
        return False

    def choice(self, key: str, default: str, allowed: Sequence[str]) -> str:
        """Return one of the allowed words."""
        value = self.take(key)
        if value is None:
            return default
        if value not in allowed:
            words = ", ".join(allowed)
            self.problem(key, "bad-choice", f"{value!r} is not one of {words}", f"Write {default}")
            return default
        return str(value)

    def each(
        self, key: str, parse: Callable[[str, object], T | None], *, required: str = ""
    ) -> tuple[T, ...]:
        """Parse each item of a list. `parse` gets an item's key and value, and reports problems.

        `required`: the remedy if the list is missing or empty; "" if it may be.
        """
        value = self.take(key)
        if value is not None and not isinstance(value, list):
            self.problem(key, "not-a-list", "is not a list", "Write a list, one item per line")
            return ()
        if required and not value:
            self.problem(key, "missing", "is missing" if value is None else "is empty", required)
        parsed = (parse(f"{key}[{position}]", item) for position, item in enumerate(value or ()))
        return tuple(item for item in parsed if item is not None)

    def section(self, key: str) -> ConfigReader:
        """Return a reader for the mapping at `key`; a missing mapping is read as an empty one."""
        return self.sub(key, self.take(key))

    def sub(self, key: str, value: object) -> ConfigReader:
        """Return a reader for `value`, the mapping at `key`."""
        if value is not None and not isinstance(value, Mapping):
            self.problem(key, "not-a-mapping", "is not a mapping", "Write `key: value` lines")
            value = None
        return ConfigReader(value or {}, f"{self.path}{key}.", self.problems, self.locate)

    def finish(self) -> None:
        """Report each key that was not read."""
        for key in self.values:
            if key in self.taken:
                continue
            near = difflib.get_close_matches(str(key), self.taken, n=1)
            remedy = f"Did you mean {near[0]}?" if near else f"Known keys: {', '.join(self.taken)}"
            self.problem(str(key), "unknown-key", "is not a setting", remedy)
