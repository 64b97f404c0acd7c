"""The partners folder as a git revision holds it: read, and never checked out or run.

Only git's plumbing is asked (rev-parse, ls-tree, cat-file), with objects by their hash: no hook, no
filter, no text conversion and no remote helper runs, and what the revision says of itself
(attributes, submodules, links) is shown as a problem or left alone.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tlsgate.partners.entries import (
    IS_LINK,
    IS_NO_FILE,
    NO_FOLDER,
    Entry,
    Fault,
    is_ignored,
    name_fault,
)
from tlsgate.partners.syntax import SIZE_LIMIT
from tlsgate.problems import Problem, ProblemsError, shown, visible

GIT_SECONDS = 60
LIST_LIMIT = 64 * 1024 * 1024
"""Bytes of all record files together; 10,000 records have about 10 MiB."""
_ENVIRONMENT = {
    "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace would show another content
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C",
}
_MODES: Mapping[str, Fault] = {
    "040000": IS_NO_FILE,
    "120000": IS_LINK,
    "160000": ("submodule", "is a submodule", "Put the record files themselves here"),
    "100755": (
        "executable",
        "has the executable bit",
        "Take it away: `git update-index --chmod=-x` and the file's name",
    ),
}
"""git's modes that no record file has."""


class RevisionError(Exception):
    """The revision cannot be read; says why and what to do."""


def is_revision(text: str) -> bool:
    """Tell whether git knows a commit or tree by this name, here. False outside a repository."""
    return _resolved(f"{text}^{{tree}}") is not None


def merge_base(one: str, other: str) -> str:
    """Return the commit where two revisions parted. Raises RevisionError."""
    commits = [_resolved(f"{name}^{{commit}}") for name in (one, other)]
    if None not in commits:
        done = _git("merge-base", *(str(commit) for commit in commits))
        if done.returncode == 0:
            return done.stdout.decode().split()[0]
    raise RevisionError(
        f"{shown(one)} and {shown(other)} have no commit in common here."
        " Fetch the whole history (`git fetch --unshallow`)"
    )


def revision_entries(revision: str, folder: Path) -> tuple[Entry, ...]:
    """Return the entries of a folder in a revision, by name.

    `folder` is relative to where the user stands, and need not be there now. A revision without
    it has no entries. Raises ProblemsError if it is no folder there, RevisionError if git cannot
    tell.
    """
    root = _resolved(f"{revision}^{{tree}}")
    if root is None:
        raise RevisionError(f"{shown(revision)} is no git revision here. Fetch it first")
    tree = _folder_tree(root, folder)
    listing = _output("ls-tree", "-z", "-l", "--full-tree", tree) if tree else b""
    contents = _Contents()
    rows = [row.partition(b"\t") for row in listing.split(b"\0") if row]
    _check_size(rows, folder)
    shown_folder = visible(str(folder / "x")).removesuffix("x")
    entries = (_entry(facts, os.fsdecode(name), shown_folder, contents) for facts, _, name in rows)
    return tuple(entry for entry in entries if entry is not None)


def _check_size(rows: Sequence[tuple[bytes, bytes, bytes]], folder: Path) -> None:
    """Refuse a folder before its content is read into memory."""
    sizes = (facts.rpartition(b" ")[2] for facts, _, _ in rows)
    total = sum(int(size) for size in sizes if size.isdigit())
    if total > LIST_LIMIT:
        message = f"holds more than {LIST_LIMIT >> 20} MiB"
        problem = Problem(visible(str(folder)), 0, "", "list-too-large", message, "Delete files")
        raise ProblemsError([problem])


def _entry(facts: bytes, name: str, folder: str, contents: _Contents) -> Entry | None:
    mode, _, oid, size = facts.decode("ascii").split()
    if is_ignored(name):
        return None
    fault = _MODES.get(mode) or name_fault(name)
    if fault is None:
        contents.want(oid, int(size))
    return Entry(folder + visible(name), fault, lambda: contents.read(oid))


def _folder_tree(root: str, folder: Path) -> str | None:
    """Return the hash of the folder's tree, None if the revision has nothing at its path."""
    top = Path(os.fsdecode(_output("rev-parse", "--show-toplevel").rstrip(b"\n"))).resolve()
    absolute = Path(os.path.normpath(Path.cwd().resolve() / folder))
    if not absolute.is_relative_to(top):
        raise RevisionError(f"{shown(str(folder))} is outside of the git repository {top}")
    path = absolute.relative_to(top).as_posix()
    tree = root if path == "." else _resolved(f"{root}:{path}")
    if tree is not None and _output("cat-file", "-t", tree) != b"tree\n":
        remedy = "Name the folder that holds the partner files"
        problem = Problem(visible(str(folder)), 0, "", NO_FOLDER, "is no folder there", remedy)
        raise ProblemsError([problem])
    return tree


class _Contents:
    """The blobs of one tree, all had from git at once when the first is asked for."""

    def __init__(self) -> None:
        self._wanted: dict[str, None] = {}
        self._held: dict[str, bytes] = {}

    def want(self, oid: str, size: int) -> None:
        """Note a blob; one beyond the limit is not even looked at."""
        if size > SIZE_LIMIT:
            self._held[oid] = bytes(SIZE_LIMIT + 1)
        else:
            self._wanted[oid] = None

    def read(self, oid: str) -> bytes:
        """Return a blob's bytes. Raises RevisionError."""
        if oid not in self._held:
            self._held.update(_blobs(list(self._wanted)))
            self._wanted.clear()
        return self._held[oid]


def _blobs(oids: list[str]) -> Iterator[tuple[str, bytes]]:
    told = _output("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode("ascii"))
    start = 0
    for oid in oids:
        line = told.index(b"\n", start)
        _, kind, size = told[start:line].decode("ascii").split()
        if kind != "blob":
            raise RevisionError(f"the object {oid} is no file")
        start = line + 1 + int(size)
        yield oid, told[line + 1 : start]
        start += 1


def _resolved(expression: str) -> str | None:
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", expression)
    if b"dubious ownership" in done.stderr:
        raise RevisionError(
            "git trusts this folder only for its owner."
            " Name it: `git config --global --add safe.directory` and its path"
        )
    return done.stdout.decode("ascii").strip() if done.returncode == 0 else None


def _output(*arguments: str, stdin: bytes = b"") -> bytes:
    done = _git(*arguments, stdin=stdin)
    if done.returncode != 0:
        said = visible(done.stderr.decode("utf-8", "replace").strip())[:300]
        raise RevisionError(f"git {arguments[0]} failed: {said}")
    return done.stdout


def _git(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "-c", "core.fsmonitor=false", "--no-pager", *arguments],
            check=False,
            input=stdin,
            capture_output=True,
            timeout=GIT_SECONDS,
            env={**os.environ, **_ENVIRONMENT},
        )
    except FileNotFoundError:
        raise RevisionError("git is not installed, and a revision needs it") from None
    except subprocess.TimeoutExpired:
        raise RevisionError(f"git {arguments[0]} took longer than {GIT_SECONDS} s") from None
