"""`tlsgate partners diff`: what a change of the list does, for the one who reviews it.

Needs no credentials, changes nothing and runs nothing that it reads. JSON (`--json`): see
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
from tlsgate.commands.arguments import add_own_domains
from tlsgate.commands.diff_sections import LookError, add_sections, more_sections
from tlsgate.partners.diff import diff_lists
from tlsgate.partners.entries import Entry, folder_entries
from tlsgate.partners.load import Known, load_entries
from tlsgate.partners.model import Partner
from tlsgate.partners.revision import RevisionError, is_revision, merge_base, revision_entries
from tlsgate.problems import ProblemsError, shown
from tlsgate.review.report import make_report, refusal_markdown, to_json, to_markdown

EXIT_USAGE = 2
EXIT_WEAKENED = 3

SUMMARY = "show what a change of the list does: added, removed, tightened, WEAKENED"
_EPILOG = """\
BASE and HEAD are git revisions, whose partner folder is read without a checkout, or folders,
written with a slash (./old). Without HEAD, the folder as it is now.

examples:
  tlsgate partners diff main                   the working folder against the branch main
  tlsgate partners diff --merge-base main HEAD what a branch itself changes
  tlsgate partners diff ./old ./new --json     two folders
  tlsgate partners diff main --digest          only the digest of the weakening change
  tlsgate partners diff main --replay mail.log what would have been held of past mail

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
    parser.add_argument("base", metavar="BASE", help="the list before: a revision or a folder")
    parser.add_argument(
        "head", metavar="HEAD", nargs="?", help="the list after (default: the folder as it is now)"
    )
    parser.add_argument(
        "--folder",
        metavar="DIR",
        type=Path,
        default=Path("partners"),
        help="where the partner files are in a revision, and now (default: partners)",
    )
    parser.add_argument(
        "--merge-base",
        action="store_true",
        help="compare with the commit where BASE and HEAD parted: what HEAD itself changes",
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
        help="leave lines out from the end of the Markdown to stay below this",
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
    except (UsageError, RevisionError, LookError) as error:
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
    known: Known = {}
    # The head first, on this day: what the base has in common with it is not read again. Of the
    # base alone no day is asked, so that a record which time has made wrong can be mended.
    after = _load(head, options, known, "head", _today())
    return _load(base, options, known, "base", None), after


def _today() -> date:
    """Return the day where the command runs; the only look at the clock."""
    return date.today()


def _source(text: str) -> Path | str:
    """Return a folder as a path, a revision as it is.

    A folder with the name of a revision would let a branch choose what it is compared with.
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
    source: Path | str, options: argparse.Namespace, known: Known, side: str, today: date | None
) -> tuple[Partner, ...]:
    own_domains = options.own_domains if side == "head" else []
    try:
        if isinstance(source, str):
            entries: Iterable[Entry] = revision_entries(source, options.folder)
        else:
            entries = folder_entries(source)
        return load_entries(entries, own_domains=own_domains, today=today, known=known)
    except ProblemsError as error:
        raise _RefusedError(side, source, error) from None


def _refuse(refused: _RefusedError, options: argparse.Namespace) -> int:
    problems = refused.error.problems
    if options.json:
        told = [problem.to_dict() for problem in problems]
        print(json.dumps({"problems": told, "side": refused.side}, indent=2))
    elif options.digest:
        print(refused.error, file=sys.stderr)
    else:
        print(refusal_markdown(problems, refused.side, options.limit), end="")
    return EXIT_PROBLEMS
