"""Reads the partners folder of a git revision, without checking it out or running anything in it.

Only git's plumbing commands are used (rev-parse, ls-tree, cat-file), with the hashes of objects: no
hook, filter, text conversion or remote helper runs. What the revision contains besides files
(attributes, submodules, links) is reported as a problem or ignored.
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
    EntryFault,
    FolderEntry,
    is_ignored,
    name_fault,
)
from tlsgate.partners.syntax import SIZE_LIMIT
from tlsgate.problems import Problem, ProblemsError, shown, visible

GIT_SECONDS = 60
LIST_LIMIT = 64 * 1024 * 1024
"""Bytes of all record files together; 10,000 records have about 10 MiB."""
_ENVIRONMENT = {
    "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace would show other content
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_ALLOW_PROTOCOL": "",
    "LC_ALL": "C",
}
_MODES: Mapping[str, EntryFault] = {
    "040000": IS_NO_FILE,
    "120000": IS_LINK,
    "160000": ("submodule", "is a submodule", "Put the record files themselves here"),
    "100755": (
        "executable",
        "has the executable bit",
        "Remove it: `git update-index --chmod=-x FILE`",
    ),
}
"""git's file modes that are refused."""


class RevisionError(Exception):
    """The revision cannot be read; the message says why and what to do."""


def is_revision(text: str) -> bool:
    """Return whether this is a commit or tree of the repository here. False outside of one."""
    return _resolved(f"{text}^{{tree}}") is not None


def merge_base(one: str, other: str) -> str:
    """Return the last common commit of two revisions. Raises RevisionError."""
    commits = [_resolved(f"{name}^{{commit}}") for name in (one, other)]
    if None not in commits:
        done = _git("merge-base", *(str(commit) for commit in commits))
        if done.returncode == 0:
            return done.stdout.decode().split()[0]
    raise RevisionError(
        f"{shown(one)} and {shown(other)} have no commit in common here."
        " Fetch the whole history (`git fetch --unshallow`)"
    )


def revision_entries(revision: str, folder: Path) -> tuple[FolderEntry, ...]:
    """Return the entries of a folder in a revision, by name.

    `folder` is relative to the working directory, and need not exist there. A revision without it
    has no entries. Raises ProblemsError if it is not a folder in the revision, RevisionError if git
    fails.
    """
    root = _resolved(f"{revision}^{{tree}}")
    if root is None:
        raise RevisionError(f"{shown(revision)} is not a git revision here. Fetch it first")
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
        message = f"is larger than {LIST_LIMIT >> 20} MiB"
        problem = Problem(visible(str(folder)), 0, "", "list-too-large", message, "Delete files")
        raise ProblemsError([problem])


def _entry(facts: bytes, name: str, folder: str, contents: _Contents) -> FolderEntry | None:
    mode, _, oid, size = facts.decode("ascii").split()
    if is_ignored(name):
        return None
    fault = _MODES.get(mode) or name_fault(name)
    if fault is None:
        contents.want(oid, int(size))
    return FolderEntry(folder + visible(name), fault, lambda: contents.read(oid))


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
        problem = Problem(visible(str(folder)), 0, "", NO_FOLDER, "is not a folder there", remedy)
        raise ProblemsError([problem])
    return tree


class _Contents:
    """The blobs of one tree, all read from git together when the first is needed."""

    def __init__(self) -> None:
        self._wanted: dict[str, None] = {}
        self._held: dict[str, bytes] = {}

    def want(self, oid: str, size: int) -> None:
        """Add a blob to those to be read; one beyond the limit is not read."""
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
    output = _output(
        "cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode("ascii")
    )
    start = 0
    for oid in oids:
        line = output.index(b"\n", start)
        _, kind, size = output[start:line].decode("ascii").split()
        if kind != "blob":
            raise RevisionError(f"the object {oid} is not a file")
        start = line + 1 + int(size)
        yield oid, output[line + 1 : start]
        start += 1


def _resolved(expression: str) -> str | None:
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", expression)
    if b"dubious ownership" in done.stderr:
        raise RevisionError(
            "git does not trust this folder, because it has another owner."
            " Allow it: `git config --global --add safe.directory PATH`"
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
        raise RevisionError("git is not installed, and is needed to read a revision") from None
    except subprocess.TimeoutExpired:
        raise RevisionError(f"git {arguments[0]} took longer than {GIT_SECONDS} s") from None
