"""`tlsgate partners fmt`: write partner files in their canonical form."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tlsgate.commands import EXIT_OK, EXIT_PROBLEMS
from tlsgate.commands.arguments import add_directory
from tlsgate.files import write
from tlsgate.partners.canonical import SCHEMA_HINT, format_file
from tlsgate.partners.entries import FolderEntry, folder_entries
from tlsgate.problems import Problem, ProblemsError

SUMMARY = "write the files in their canonical form, with their comments"
_EPILOG = f"""\
Keys are put in the record's order, defaults are written out, lists are sorted. Comments stay with
their keys. A file with problems is not changed. For completion in an editor, start the file with
this line:
  {SCHEMA_HINT}

examples:
  tlsgate partners fmt
  tlsgate partners fmt --check path/to/partners

exit status: 0 success, 1 a file has problems or (with --check) is not canonical, 2 wrong usage

JSON:
  {{"problems": [{{"file", "line", "key", "code", "message", "remedy"}}, ...], "changed": [files]}}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_directory(parser)
    parser.add_argument(
        "--check", action="store_true", help="do not write; report which files would change"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    problems: list[Problem] = []
    changed: list[str] = []
    try:
        for entry in folder_entries(options.directory):
            _format(entry, options, problems, changed)
    except ProblemsError as error:
        problems.extend(error.problems)
    problems.sort()
    if options.json:
        found = [problem.to_dict() for problem in problems]
        print(json.dumps({"problems": found, "changed": changed}, indent=2))
    else:
        said = "not in the canonical form" if options.check else "formatted"
        for file in changed:
            print(f"{file}: {said}")
        if problems:
            print(ProblemsError(problems), file=sys.stderr)
    return EXIT_PROBLEMS if problems or (options.check and changed) else EXIT_OK


def _format(
    entry: FolderEntry, options: argparse.Namespace, problems: list[Problem], changed: list[str]
) -> None:
    if entry.fault is not None:
        problems.append(Problem(entry.file, 0, "", *entry.fault))
        return
    path = options.directory / Path(entry.file).name
    try:
        data = entry.read()
        formatted = format_file(data, entry.file)
        problems.extend(formatted.problems)
        if formatted.text is None or formatted.text.encode() == data:
            return
        if not options.check:
            write(path, formatted.text.encode(), mode=None)
        changed.append(entry.file)
    except OSError as error:
        message = f"cannot be read or written ({error.strerror})"
        problems.append(Problem(entry.file, 0, "", "unreadable", message, "Check permissions"))
