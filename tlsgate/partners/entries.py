"""What lies in the partners folder, wherever the folder is: on disk, or in a git revision.

Each entry has its name and its content, or why it is no record file. Nothing is passed over in
silence but the files that are named here.
"""

from __future__ import annotations

import os
import re
import stat
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
        paths = sorted(directory.iterdir())
    except OSError as error:
        message = f"cannot be read as a folder ({error.strerror})"
        remedy = "Name the folder that holds the partner files"
        raise ProblemsError(
            [Problem(visible(shown_folder), 0, "", NO_FOLDER, message, remedy)]
        ) from None
    for path in paths:
        if not is_ignored(path.name):
            file = visible(str(Path(shown_folder, path.name)))
            yield Entry(file, _path_fault(path), _reader(path))


def _from_here(directory: Path) -> str:
    """Return the folder relative to where the user stands, if it lies below."""
    absolute, here = directory.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else directory)


def _path_fault(path: Path) -> Fault | None:
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return "unreadable", f"cannot be read ({error.strerror})", "Check the folder"
    if stat.S_ISLNK(mode):
        return IS_LINK
    if not stat.S_ISREG(mode):
        return IS_NO_FILE
    return name_fault(path.name)


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        # Between the look at the entry and now it may have become a link or a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(SIZE_LIMIT + 1)

    return read
