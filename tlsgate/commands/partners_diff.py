"""`tlsgate partners diff`: shows reviewers what a change of the partner list does.

It needs no credentials, changes nothing and runs nothing that it reads. JSON (`--json`): see
`tlsgate.review.report`; a list with problems gives `{"problems": [...], "side": "base"|"head"}`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_folder, add_own_domains
from tlsgate.commands.diff_sections import SectionError, add_sections, more_sections
from tlsgate.partners.diff import diff_lists
from tlsgate.partners.entries import FolderEntry, folder_entries
from tlsgate.partners.load import DraftCache, load_entries
from tlsgate.partners.model import Partner
from tlsgate.partners.revision import RevisionError, is_revision, merge_base, revision_entries
from tlsgate.problems import ProblemsError, shown
from tlsgate.review.report import make_report, refusal_markdown, to_json, to_markdown

EXIT_USAGE = 2
EXIT_WEAKENED = 3

SUMMARY = "show what a change of the list does: added, removed, tightened, WEAKENED"
_EPILOG = """\
BASE and HEAD are git revisions or folders. The partner folder of a revision is read without a
checkout. Folders are written with a slash (./old). Without HEAD, the folder is compared as it is.

examples:
  tlsgate partners diff main                   the folder as it is, compared with branch main
  tlsgate partners diff --merge-base main HEAD what a branch itself changes
  tlsgate partners diff ./old ./new --json     two folders
  tlsgate partners diff main --digest          only the digest of the weakening change
  tlsgate partners diff main --replay mail.log which past mail would have been held

exit status: 0 nothing weaker, 3 something is weaker, 1 problems in a list, 2 wrong usage

JSON:
  {"problems": [], "partners": {"base": int, "head": int}, "weakened": [names],
   "weakening_digest": hex or null, "changes": [{"kind", "weakened": bool, "partner",
   "successor", "domains": [keys], "aspect", "change", "effect", "file"}]}
  with --replay: "replay": {"days", "partners": [{"partner", "direction", "observed",
   "messages": int, "held": {reason: int}, "unknown": {reason: int}}]}
  with --probe: "probe": {"domains": [as tlsgate probe --json], "left_out": int}
JSON of a list with problems:
  {"problems": [{"file", "line", "key", "code", "message", "remedy"}, ...],
   "side": "base" or "head"}
"""


class UsageError(Exception):
    """The arguments do not say which lists to compare."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("base", metavar="BASE", help="the old list: a revision or a folder")
    parser.add_argument(
        "head", metavar="HEAD", nargs="?", help="the new list (default: the folder as it is)"
    )
    add_folder(parser, old="--folder", purpose=", now and in revisions")
    parser.add_argument(
        "--merge-base",
        action="store_true",
        help="compare with the last common commit of BASE and HEAD: only what HEAD itself changes",
    )
    add_own_domains(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    shape.add_argument(
        "--digest", action="store_true", help="print the digest of the weakening change, if any"
    )
    parser.add_argument(
        "--limit",
        metavar="CHARACTERS",
        type=int,
        default=0,
        help="maximum length of the Markdown; lines are left out from the end",
    )
    add_sections(parser)
    parser.set_defaults(run=_run)


class _RefusedError(Exception):
    """One of the two lists has problems."""

    def __init__(self, side: str, source: Path | str, error: ProblemsError) -> None:
        super().__init__(side, source, error)
        self.side, self.source, self.error = side, source, error


def _run(options: argparse.Namespace) -> int:
    try:
        before, after = _lists(options)
        changes = diff_lists(before, after)
        sections = tuple(more_sections(options, changes, before, after, _today()))
    except (UsageError, RevisionError, SectionError) as error:
        print(f"tlsgate partners diff: {error}.", file=sys.stderr)
        return EXIT_USAGE
    except _RefusedError as refused:
        return _refuse(refused, options)
    report = make_report(changes, (len(before), len(after)), sections)
    if options.digest:
        print(report.digest, end="\n" if report.digest else "")
    elif options.json:
        print(json.dumps(to_json(report), indent=2))
    else:
        print(to_markdown(report, options.limit), end="")
    return EXIT_WEAKENED if report.weakenings else EXIT_OK


def _lists(options: argparse.Namespace) -> tuple[tuple[Partner, ...], tuple[Partner, ...]]:
    base = _source(options.base)
    head = options.folder if options.head is None else _source(options.head)
    if options.merge_base:
        if not isinstance(base, str):
            raise UsageError("--merge-base needs a revision as BASE")
        base = merge_base(base, head if isinstance(head, str) else "HEAD")
    cache: DraftCache = {}
    # The head first, with today's date: files that the base has in common are not read again. The
    # base is read without a date, so that a record that has become invalid over time can be fixed.
    after = _load(head, options, cache, "head", _today())
    return _load(base, options, cache, "base", None), after


def _today() -> date:
    """Return today's local date; the clock is read only here."""
    return date.today()


def _source(text: str) -> Path | str:
    """Return a folder as a path, and a revision as a string.

    A name that is both is refused: otherwise a branch could choose what it is compared with.
    """
    if text.startswith(("/", "./", "../")) or text in (".", ".."):
        return Path(text)
    folder, revision = _is_folder(text), is_revision(text)
    if folder and revision:
        raise UsageError(
            f"{shown(text)} is a git revision and a folder. Write ./{text} for the folder, or"
            " the revision by its hash or full name (refs/heads/…)"
        )
    if not folder and not revision:
        raise UsageError(
            f"{shown(text)} is neither a git revision nor a folder here."
            " Fetch the revision, or write a folder as ./name"
        )
    return Path(text) if folder else text


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):  # such as a name that is too long
        return False


def _load(
    source: Path | str,
    options: argparse.Namespace,
    cache: DraftCache,
    side: str,
    today: date | None,
) -> tuple[Partner, ...]:
    own_domains = options.own_domains if side == "head" else []
    try:
        if isinstance(source, str):
            entries: Iterable[FolderEntry] = revision_entries(source, options.folder)
        else:
            entries = folder_entries(source)
        return load_entries(entries, own_domains=own_domains, today=today, cache=cache)
    except ProblemsError as error:
        raise _RefusedError(side, source, error) from None


def _refuse(refused: _RefusedError, options: argparse.Namespace) -> int:
    problems = refused.error.problems
    if options.json:
        found = [problem.to_dict() for problem in problems]
        print(json.dumps({"problems": found, "side": refused.side}, indent=2))
    elif options.digest:
        print(refused.error, file=sys.stderr)
    else:
        print(refusal_markdown(problems, refused.side, options.limit), end="")
    return EXIT_PROBLEMS
