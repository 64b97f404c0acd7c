"""The entries of the partners folder, on disk or in a git revision.

Each entry has its name and its content, or the reason why it is not a record file. Only the files
named here are ignored: every other file is read or reported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tlsgate.partners.syntax import SIZE_LIMIT
from tlsgate.problems import Problem, ProblemsError, visible

SCHEMA_FILE = "partner.schema.json"
NO_FOLDER = "no-folder"

EntryFault = tuple[str, str, str]
"""Code, message and remedy, as in a Problem."""
IS_LINK: EntryFault = ("symlink", "is a symbolic link", "Put the file itself here")
IS_NO_FILE: EntryFault = (
    "not-a-file",
    "is not a regular file",
    "Put record files directly into the folder",
)

_FILE_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.yaml")
_IGNORED = frozenset({"README.md", SCHEMA_FILE})
_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One entry of the folder."""

    file: str
    """The name to show, printable and with the folder."""
    fault: EntryFault | None
    read: Callable[[], bytes]
    """Returns the content, one byte more than the limit at most. Raises OSError."""


def is_ignored(name: str) -> bool:
    """Return whether a file of this name is ignored."""
    return (name.startswith(".") and not name.endswith(_YAML)) or name in _IGNORED


def name_fault(name: str) -> EntryFault | None:
    """Return why a regular file of this name is not a record file, None if it is one."""
    if _FILE_NAME.fullmatch(name):
        return None
    if not name.endswith(_YAML):
        return "unknown-file", "is not a record file", "Delete it, or name it <partner>.yaml"
    remedy = f"Rename it to {record_file_name(name.strip('.').rpartition('.')[0])}"
    return (
        "file-name",
        "must be named in lower-case words joined by hyphens, ending in .yaml",
        remedy,
    )


def record_file_name(words: str) -> str:
    """Return the name of a record file made of these words."""
    return ("-".join(re.findall(r"[a-z0-9]+", words.lower())) or "partner") + ".yaml"


def folder_entries(directory: Path) -> Iterator[FolderEntry]:
    """Yield the entries of a folder on disk, by name. Raises ProblemsError if there is none."""
    shown_folder = _from_here(directory)
    try:
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        message = f"cannot be read as a folder ({error.strerror})"
        remedy = "Name the folder that holds the partner files"
        raise ProblemsError(
            [Problem(visible(shown_folder), 0, "", NO_FOLDER, message, remedy)]
        ) from None
    shown_folder = str(Path(shown_folder, "x")).removesuffix("x")
    for entry in entries:
        if not is_ignored(entry.name):
            file = visible(shown_folder + entry.name)
            yield FolderEntry(file, _entry_fault(entry), _reader(entry.path))


def _from_here(directory: Path) -> str:
    """Return the folder relative to the working directory, if it is inside of it."""
    absolute, here = directory.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else directory)


def _entry_fault(entry: os.DirEntry[str]) -> EntryFault | None:
    try:
        if entry.is_symlink():
            return IS_LINK
        if not entry.is_file(follow_symlinks=False):
            return IS_NO_FILE
    except OSError as error:
        return "unreadable", f"cannot be read ({error.strerror})", "Check the folder"
    return name_fault(entry.name)


def _reader(path: str) -> Callable[[], bytes]:
    def read() -> bytes:
        # Since it was checked, the entry may have become a link or a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, SIZE_LIMIT + 1)
            while len(data) <= SIZE_LIMIT and (more := os.read(descriptor, SIZE_LIMIT + 1)):
                data += more
        finally:
            os.close(descriptor)
        return data[: SIZE_LIMIT + 1]

    return read
