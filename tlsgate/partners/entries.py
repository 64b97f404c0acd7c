"""What lies in the partners folder, wherever the folder is: on disk, or in a git revision.

Each entry has its name and its content, or why it is no record file. Nothing is passed over in
silence but the files that are named here.
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

Fault = tuple[str, str, str]
"""Code, message and remedy, as in a Problem."""
IS_LINK: Fault = ("symlink", "is a symbolic link", "Put the file itself here")
IS_NO_FILE: Fault = (
    "not-a-file",
    "is not a regular file",
    "Put record files straight into the folder",
)

_FILE_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.yaml")
_IGNORED = frozenset({"README.md", SCHEMA_FILE})
_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the folder."""

    file: str
    """The name to show, printable and with the folder."""
    fault: Fault | None
    read: Callable[[], bytes]
    """Returns the content, one byte more than the limit at most. Raises OSError."""


def is_ignored(name: str) -> bool:
    """Tell whether a file of this name is no matter of the list."""
    return (name.startswith(".") and not name.endswith(_YAML)) or name in _IGNORED


def name_fault(name: str) -> Fault | None:
    """Return why a regular file of this name is no record file."""
    if _FILE_NAME.fullmatch(name):
        return None
    if not name.endswith(_YAML):
        return "unknown-file", "is not a record file", "Delete it, or name it <partner>.yaml"
    remedy = f"Rename it to {file_name(name.strip('.').rpartition('.')[0])}"
    return "file-name", "is not named in lower-case words with hyphens, ending in .yaml", remedy


def file_name(words: str) -> str:
    """Return the name of a record file that says these words."""
    return ("-".join(re.findall(r"[a-z0-9]+", words.lower())) or "partner") + ".yaml"


def folder_entries(directory: Path) -> Iterator[Entry]:
    """Yield the entries of a folder on disk, by name. Raises ProblemsError if it is none."""
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
            yield Entry(file, _entry_fault(entry), _reader(entry.path))


def _from_here(directory: Path) -> str:
    """Return the folder relative to where the user stands, if it lies below."""
    absolute, here = directory.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else directory)


def _entry_fault(entry: os.DirEntry[str]) -> Fault | None:
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
        # Between the look at the entry and now it may have become a link or a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, SIZE_LIMIT + 1)
            while len(data) <= SIZE_LIMIT and (more := os.read(descriptor, SIZE_LIMIT + 1)):
                data += more
        finally:
            os.close(descriptor)
        return data[: SIZE_LIMIT + 1]

    return read
