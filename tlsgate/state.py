"""State files: what a process stores on a volume and needs again after a restart or a crash.

A file is one line of JSON, `{"version": n, "data": …}`, and `data` has a type that msgspec checks
strictly. A file without `version` has version 0: tlsgate wrote it before files had versions.

    found                            what happens
    no file                          nothing is known yet
    an older version                 its data is brought to the current version, step by step
    damaged: not the type's JSON     renamed to `<name>.damaged-<time>`, an alert, then as no file
    a newer version                  StateFault: an older program must not overwrite it
    any other error (OSError)        raised: a file that cannot be read is not an empty one

A file is replaced as a whole: a crash at any moment leaves the old content or the new one. A change
of existing data is made under a lock beside the file, so that processes do not lose each other's.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import msgspec

from tlsgate.events import emit
from tlsgate.files import sync_directory, write

T = TypeVar("T")

Migration = Callable[[Any], Any]
"""Converts data of one version to the next. If it cannot, it raises, and the file is damaged."""
_DAMAGE = (
    msgspec.MsgspecError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
)


class StateFault(OSError):
    """A state file that must not be used. It is an OSError: the fault is on the volume."""


class Damaged(StateFault):
    """The file does not contain what tlsgate writes."""


def unchanged(data: Any) -> Any:
    """The migration to version 1, if version 0 had the same data."""
    return data


class StateFile(Generic[T]):
    """One file. `content`: the type of its data. `loss`: what follows if it is lost, for the alert.

    `migrations`: the first one from version 0 to 1, and so on; their number is the file's version.
    `mode`: its permissions. `check`: raises ValueError for data that has the type but is wrong.
    Every method may raise OSError, and so StateFault.
    """

    def __init__(
        self,
        path: Path,
        content: type[T],
        *,
        loss: str,
        migrations: Sequence[Migration] = (unchanged,),
        mode: int = 0o644,
        check: Callable[[T], object] = lambda _: None,
    ) -> None:
        self.path = path
        self._content = content
        self._loss = loss
        self._migrations = migrations
        self._mode = mode
        self._check = check

    def read(self) -> T | None:
        """The data; None if there is no file. Raises Damaged, and does not rename the file."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        return self.decode(content)

    def load(self) -> T | None:
        """The data; None if there is no file, or if it was damaged. A damaged file is renamed."""
        try:
            return self.read()
        except Damaged:
            with self._locked():
                return self._read_or_set_aside()

    def write(self, data: T) -> None:
        """Replaces the file. Only for a file that one process writes; otherwise use `update`."""
        self.replace(self.encode(data))

    def update(self, change: Callable[[T | None], T]) -> T:
        """Replaces the data with the result of `change`, and returns it.

        `change` gets what `load` returns, and must not modify it. Unchanged data is not written.
        """
        with self._locked():
            before = self._read_or_set_aside()
            after = change(before)
            if after != before:
                self.write(after)
            return after

    def encode(self, data: T) -> bytes:
        """The content of a file with this data."""
        values = {"version": len(self._migrations), "data": msgspec.to_builtins(data)}
        # Not msgspec's JSON: text from others may contain lone surrogates, which are not UTF-8.
        return json.dumps(values).encode("ascii") + b"\n"

    def replace(self, content: bytes) -> None:
        """Replaces the file with the result of `encode`."""
        write(self.path, content, self._mode)

    def decode(self, content: bytes) -> T:
        """The inverse of `encode`; also reads older versions. Raises Damaged, StateFault."""
        try:
            version, data = _version_and_data(json.loads(content))
            if version > len(self._migrations):
                raise StateFault(
                    f"{self.path} has version {version}, and this tlsgate reads versions up to "
                    f"{len(self._migrations)}: run the newer tlsgate again"
                )
            for migrate in self._migrations[version:]:
                data = migrate(data)
            found = msgspec.convert(data, self._content)
            self._check(found)
        except _DAMAGE as fault:
            raise Damaged(f"{self.path} is damaged: {fault}") from fault
        return found

    def _read_or_set_aside(self) -> T | None:
        """Call it under the lock: another process may just have replaced the damaged file."""
        try:
            return self.read()
        except Damaged as fault:
            aside = _free_name(self.path)
            self.path.rename(aside)
            sync_directory(self.path.parent)
            emit(
                "alert",
                what=f"the state file {self.path} was damaged",
                reason=str(fault.__cause__),
                next=f"It was renamed to {aside.name}. {self._loss}",
            )
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class StateMap(StateFile[dict[str, T]]):
    """A file of named entries. `entry`: their type."""

    def __init__(
        self,
        path: Path,
        entry: type[T],
        *,
        loss: str,
        migrations: Sequence[Migration] = (unchanged,),
    ) -> None:
        content = cast("type[dict[str, T]]", dict.__class_getitem__((str, entry)))
        super().__init__(path, content, loss=loss, migrations=migrations)

    def all(self) -> Mapping[str, T]:
        """Every entry."""
        return self.load() or {}

    def get(self, name: str) -> T | None:
        """The entry with this name; None if there is none."""
        return self.all().get(name)

    def put(self, name: str, entry: T | None, stays: Callable[[T], bool] = lambda _: True) -> None:
        """Stores an entry; None removes it. `stays` returns False for other entries to remove."""

        def change(before: dict[str, T] | None) -> dict[str, T]:
            others = {key: one for key, one in (before or {}).items() if key != name and stays(one)}
            return others if entry is None else {**others, name: entry}

        if entry is not None or self.get(name) is not None:
            self.update(change)


def _version_and_data(values: Any) -> tuple[int, Any]:
    """Version and data of a file. In a file of version 0, `version` is never a number."""
    version = values.get("version") if isinstance(values, dict) else None
    if type(version) is not int:
        return 0, values
    if version < 1 or values.keys() != {"version", "data"}:
        raise ValueError(f"version {version} with the fields {sorted(values)}")
    return version, values["data"]


def _free_name(path: Path) -> Path:
    """An unused name for a damaged file: an earlier one is not overwritten."""
    name = f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    number, free = 1, path.with_name(name)
    while free.exists():
        number += 1
        free = path.with_name(f"{name}-{number}")
    return free
