"""The partner list from its folder: read, validated and compared, or refused as a whole.

One file holds one record, or several as a stream of documents between `---` lines. Every problem
of every file is told at once. Nothing is guessed from a file that could not be read: a list with
one bad file is a bad list, and the gateway keeps the one it has.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from tlsgate.partners.checks import check_list
from tlsgate.partners.model import Partner
from tlsgate.partners.record import Draft, read_record
from tlsgate.partners.syntax import SIZE_LIMIT, read_documents
from tlsgate.problems import Problem, ProblemsError, visible

_FILE_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\.yaml")
_IGNORED = frozenset({"README.md"})
_YAML = (".yaml", ".yml")


def load_partners(
    directory: Path, *, own_domains: Sequence[str] = (), today: date | None = None
) -> tuple[Partner, ...]:
    """Return the partners of a folder, sorted by name.

    `own_domains` are the organisation's own, as canonical names: no partner may list them, nor
    a name above or below them. With `today`, an agreement in the future is refused; the clock
    is never asked. Raises ProblemsError with all problems of all files.
    """
    problems: list[Problem] = []
    drafts: list[Draft] = []
    for path, file in _record_files(directory, problems):
        data = _read(path, file, problems)
        if data is not None:
            drafts.extend(read_drafts(data, file, today, problems))
    problems.extend(check_list(drafts, own_domains))
    if problems:
        raise ProblemsError(problems)
    partners = [draft.partner for draft in drafts if draft.partner is not None]
    return tuple(sorted(partners, key=lambda partner: partner.name))


def read_drafts(
    data: bytes, file: str, today: date | None, problems: list[Problem]
) -> Iterator[Draft]:
    """Yield the records of one file's bytes; problems are added to the list. Never raises."""
    documents, faults = read_documents(data, file)
    problems.extend(faults)
    for document in documents:
        draft = read_record(document, file, today, problems)
        if draft is not None:
            yield draft


def _record_files(directory: Path, problems: list[Problem]) -> Iterator[tuple[Path, str]]:
    """Yield the folder's record files with their shown names; report what else is in it."""
    shown_folder = _from_here(directory)
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        problems.append(
            Problem(
                visible(shown_folder),
                0,
                "",
                "no-folder",
                f"cannot be read as a folder ({error.strerror})",
                "Name the folder that holds the partner files",
            )
        )
        return
    for path in entries:
        hidden = path.name.startswith(".") and not path.name.endswith(_YAML)
        if hidden or path.name in _IGNORED:
            continue
        file = visible(str(Path(shown_folder, path.name)))
        fault = _entry_fault(path)
        if fault is None:
            yield path, file
        else:
            problems.append(Problem(file, 0, "", *fault))


def _from_here(directory: Path) -> str:
    """Return the folder relative to where the user stands, if it lies below."""
    absolute, here = directory.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else directory)


def _entry_fault(path: Path) -> tuple[str, str, str] | None:
    """Return code, message and remedy for an entry that is no record file."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return "unreadable", f"cannot be read ({error.strerror})", "Check the folder"
    if stat.S_ISLNK(mode):
        return "symlink", "is a symbolic link", "Put the file itself here"
    if not stat.S_ISREG(mode):
        return "not-a-file", "is not a regular file", "Put record files straight into the folder"
    if _FILE_NAME.fullmatch(path.name):
        return None
    if not path.name.endswith(_YAML):
        return "unknown-file", "is not a record file", "Delete it, or name it <partner>.yaml"
    stem = path.name.strip(".").rpartition(".")[0]
    kebab = "-".join(re.findall(r"[a-z0-9]+", stem.lower())) or "partner"
    remedy = f"Rename it to {kebab}.yaml"
    return "file-name", "is not named in lower-case words with hyphens, ending in .yaml", remedy


def _read(path: Path, file: str, problems: list[Problem]) -> bytes | None:
    """Return the file's bytes, one more than the limit at most; None if it cannot be read."""
    try:
        # Between the look at the entry and now it may have become a link or a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        message = f"cannot be read ({error.strerror})"
        problems.append(Problem(file, 0, "", "unreadable", message, "Check its permissions"))
        return None
