"""The partner list from its folder: read, validated and compared, or refused as a whole.

One file contains one record, or several as a stream of documents separated by `---` lines. All
problems of all files are reported together. If one file cannot be read, the whole list is refused,
and the gateway keeps the list it has.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from tlsgate.partners.checks import check_list
from tlsgate.partners.entries import FolderEntry, folder_entries
from tlsgate.partners.format import to_yaml
from tlsgate.partners.model import Partner
from tlsgate.partners.record import Draft, read_record
from tlsgate.partners.syntax import read_documents
from tlsgate.problems import Problem, ProblemsError, visible

DraftCache = dict[tuple[str, bytes], tuple[Draft, ...]]
"""Records of files without problems, by file name and content, so that each is read once."""


def load_partners(
    directory: str | os.PathLike[str],
    *,
    own_domains: Sequence[str] = (),
    today: date | None = None,
) -> tuple[Partner, ...]:
    """Return the partners of a folder, sorted by name.

    `own_domains` are the organisation's own, as canonical names: no partner may list them, nor
    a name above or below them. With `today`, an agreement in the future is refused; the clock
    is never read. Raises ProblemsError with all problems of all files.
    """
    return load_entries(folder_entries(Path(directory)), own_domains=own_domains, today=today)


def load_entries(
    entries: Iterable[FolderEntry],
    *,
    own_domains: Sequence[str] = (),
    today: date | None = None,
    cache: DraftCache | None = None,
) -> tuple[Partner, ...]:
    """Same as `load_partners`, for the entries of a folder on disk or in git.

    `cache` is read and filled. A file that is in it is not read again, whatever `today` is.
    """
    cache = {} if cache is None else cache
    problems: list[Problem] = []
    drafts: list[Draft] = []
    with _without_garbage_collection():
        try:
            for entry in entries:
                data = _read(entry, problems)
                if data is not None:
                    drafts.extend(_drafts(data, entry.file, today, problems, cache))
        except ProblemsError as error:  # the folder itself; problems found before are reported too
            problems.extend(error.problems)
        problems.extend(check_list(drafts, own_domains))
    if problems:
        raise ProblemsError(problems)
    partners = [draft.partner for draft in drafts if draft.partner is not None]
    return tuple(sorted(partners, key=lambda partner: partner.name))


def check_partners(
    partners: Sequence[Partner], *, own_domains: Sequence[str] = (), today: date | None = None
) -> tuple[Partner, ...]:
    """Same as `load_partners`, for records that a program has put together.

    Each record is read again as a file would be, so no check of a file or of the list is left out.
    A problem names the record's file, or its place in `partners`, and the partner.
    """
    problems: list[Problem] = []
    drafts: list[Draft] = []
    checked: list[Partner] = []
    with _without_garbage_collection():
        for place, given in enumerate(partners):
            label = f"{given.file or f'partners[{place}]'} ({visible(str(given.name))})"
            found: list[Problem] = []
            try:
                text = to_yaml(given).encode()
            except (AttributeError, TypeError, ValueError) as error:
                message = f"is not a valid record ({error})"
                found.append(Problem(label, 0, "", "not-a-record", message, "Use load_partners"))
            else:
                for draft in read_drafts(text, label, today, found):
                    drafts.append(_without_lines(draft))
                    if draft.partner is not None:
                        checked.append(replace(draft.partner, file=given.file))
            problems += (replace(problem, line=0) for problem in found)
        problems.extend(check_list(drafts, own_domains))
    if problems:
        raise ProblemsError(problems)
    return tuple(sorted(checked, key=lambda partner: partner.name))


def _without_lines(draft: Draft) -> Draft:
    return replace(
        draft,
        name=draft.name and replace(draft.name, line=0),
        domains=tuple(replace(place, line=0) for place in draft.domains),
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: a list is many small objects without reference cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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


def _drafts(
    data: bytes, file: str, today: date | None, problems: list[Problem], cache: DraftCache
) -> tuple[Draft, ...]:
    key = (file.rpartition("/")[2], data)
    drafts = cache.get(key)
    if drafts is not None:
        return tuple(_with_file(draft, file) for draft in drafts)
    before = len(problems)
    drafts = tuple(read_drafts(data, file, today, problems))
    if len(problems) == before:
        cache[key] = drafts
    return drafts


def _with_file(draft: Draft, file: str) -> Draft:
    if draft.file == file or draft.partner is None:
        return draft
    return replace(draft, file=file, partner=replace(draft.partner, file=file))


def _read(entry: FolderEntry, problems: list[Problem]) -> bytes | None:
    """Return the file's bytes; None, and a problem, if it is not a record file or unreadable."""
    fault = entry.fault
    if fault is None:
        try:
            return entry.read()
        except OSError as error:
            message = f"cannot be read ({error.strerror})"
            fault = ("unreadable", message, "Check its permissions")
    problems.append(Problem(entry.file, 0, "", *fault))
    return None
