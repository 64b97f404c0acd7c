"""`tlsgate partners import`: writes records from a list in another format."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_folder, add_option
from tlsgate.partners.checks import check_list
from tlsgate.partners.entries import folder_entries
from tlsgate.partners.format import to_yaml
from tlsgate.partners.import_csv import COLUMNS, read_csv
from tlsgate.partners.import_eff import read_eff
from tlsgate.partners.import_postfix import read_postfix
from tlsgate.partners.importing import (
    SOURCE_LIMIT,
    Defaults,
    Row,
    Source,
    new_files,
    read_rows,
)
from tlsgate.partners.load import read_drafts
from tlsgate.partners.record import Draft
from tlsgate.partners.values import (
    InvalidValueError,
    default_review,
    parse_address,
    parse_date,
)
from tlsgate.problems import Problem, ProblemsError, shown, visible

T = TypeVar("T")

SUMMARY = "write records from a Postfix policy table, a STARTTLS Everywhere list or CSV"
SOURCES: dict[str, Callable[[Source], Iterator[Row]]] = {
    "postfix": read_postfix,
    "eff": read_eff,
    "csv": read_csv,
}
_EPILOG = f"""\
Every entry that a record cannot express is reported as a problem, and then nothing is written,
unless --partial is given. No file is ever overwritten.

CSV: the first line names the columns. Columns: {", ".join(COLUMNS)}.

examples:
  tlsgate partners import --from postfix /etc/postfix/tls_policy
  tlsgate partners import --from eff policy.json --dry-run
  tlsgate partners import --from csv list.csv --partners partners --agreed 2026-10-01

exit status: 0 everything was imported, 1 there were problems, 2 wrong usage

JSON:
  {{"problems": [{{"file", "line", "key", "code", "message", "remedy"}}, ...],
   "notes": [the same], "files": [the new files]}}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--from", dest="form", choices=sorted(SOURCES), required=True, help="the format of FILE"
    )
    parser.add_argument("source", metavar="FILE", type=Path, help="the list to read")
    add_folder(parser, old="--into", purpose=", created if it does not exist")
    parser.add_argument(
        "--agreed", metavar="DATE", type=_date, help="the day of the agreements (default: today)"
    )
    parser.add_argument(
        "--review",
        metavar="DATE",
        type=_date,
        help="the day by which they must be confirmed again (default: a year after the agreement)",
    )
    parser.add_argument(
        "--contact",
        metavar="ADDRESS",
        type=_address,
        help="the contact if the source has none (default: postmaster@ the partner's domain)",
    )
    add_option(
        parser,
        "--partial",
        old="--partly",
        action="store_true",
        help="import the other entries even if some have problems",
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_run)


def _date(text: str) -> date:
    return _parsed(parse_date, text)


def _address(text: str) -> str:
    return _parsed(parse_address, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except InvalidValueError as refusal:
        raise argparse.ArgumentTypeError(f"{refusal.message}. {refusal.remedy}") from None


def _run(options: argparse.Namespace) -> int:
    agreed = options.agreed or date.today()
    defaults = Defaults(agreed, options.review or default_review(agreed), options.contact or "")
    source = Source(visible(str(options.source)), "")
    refused: list[Problem] = []  # problems that --partial does not override
    written: list[str] = []
    existing = _existing(options.folder, refused)
    if _read(options.source, source, refused):
        drafts = read_rows(SOURCES[options.form](source), source, defaults)
        drafts = _without_listed(drafts, existing, source)
        refused += check_list([*existing, *drafts], [])
        if not refused and (options.partial or not source.problems):
            written += _write(drafts, options, refused)
    source.problems += refused
    _report(source, written, options)
    return EXIT_PROBLEMS if source.problems else EXIT_OK


def _read(path: Path, source: Source, refused: list[Problem]) -> bool:
    """Read the source's text; return False, and a problem, if it cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(SOURCE_LIMIT + 1)
        if len(data) <= SOURCE_LIMIT:
            source.text = data.decode("utf-8")
            return True
        fault = ("file-too-large", f"is larger than {SOURCE_LIMIT >> 20} MiB", "Split it")
    except OSError as error:
        fault = ("unreadable", f"cannot be read ({error.strerror})", "Check its name")
    except UnicodeDecodeError:
        fault = ("not-utf-8", "is not UTF-8", "Save the file as UTF-8")
    refused.append(Problem(source.file, 0, "", *fault))
    return False


def _existing(folder: Path, refused: list[Problem]) -> list[Draft]:
    """Return the records that are already in the folder; none if it does not exist."""
    drafts: list[Draft] = []
    for entry in folder_entries(folder) if folder.is_dir() else ():
        if entry.fault is None:
            drafts += read_drafts(entry.read(), entry.file, None, refused)
        else:
            refused.append(Problem(entry.file, 0, "", *entry.fault))
    return drafts


def _without_listed(
    drafts: Sequence[Draft], existing: Sequence[Draft], source: Source
) -> list[Draft]:
    """Return the records whose domains are not listed yet; report a problem for the others."""
    listed = {place.value: draft.file for draft in existing for place in draft.domains}
    free = []
    for draft in drafts:
        known = [place for place in draft.domains if place.value in listed]
        for place in known:
            message = f"{shown(place.value)} is already in {listed[place.value]}"
            remedy = "Delete it in one of the two; an import never changes a record of the list"
            source.problem(place.line, place.value, "already-listed", message, remedy)
        if not known:
            free.append(draft)
    return free


def _write(
    drafts: Sequence[Draft], options: argparse.Namespace, refused: list[Problem]
) -> list[str]:
    """Write each record into a new file and return their names: all of them, or none."""
    folder: Path = options.folder
    written: list[Path] = []
    try:
        if not options.dry_run:
            folder.mkdir(parents=True, exist_ok=True)
        taken = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        files = [(folder / name, draft) for name, draft in new_files(drafts, taken)]
        for path, draft in () if options.dry_run else files:
            with path.open("x", encoding="utf-8") as stream:
                written.append(path)
                stream.write(to_yaml(draft.partner) if draft.partner else "")
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        message = f"cannot be written ({error.strerror}): nothing is imported"
        refused.append(Problem(str(error.filename or folder), 0, "", "unwritable", message, ""))
        return []
    return [visible(str(path)) for path, _ in files]


def _report(source: Source, written: Sequence[str], options: argparse.Namespace) -> None:
    problems, notes = sorted(set(source.problems)), sorted(set(source.notes))
    if options.json:
        output: dict[str, object] = {
            "problems": [one.to_dict() for one in problems],
            "notes": [one.to_dict() for one in notes],
            "files": list(written),
        }
        print(json.dumps(output, indent=2))
        return
    for path in written:
        print(path)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if problems:
        print(ProblemsError(problems), file=sys.stderr)
        if not written:
            hint = "" if options.partial else " Use --partial to import the other entries."
            print(f"Nothing was written.{hint}", file=sys.stderr)
