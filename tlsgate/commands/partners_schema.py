"""`tlsgate partners schema`: the JSON Schema of a partner file."""

from __future__ import annotations

import argparse

from tlsgate.commands import EXIT_OK
from tlsgate.partners.canonical import SCHEMA_HINT
from tlsgate.partners.entries import SCHEMA_FILE
from tlsgate.partners.schema import schema_text

SUMMARY = "print the JSON Schema of a partner file, for editors"
_EPILOG = f"""\
The schema is in the folder of the records. An editor with the YAML language server uses it for
every file that starts with this line:
  {SCHEMA_HINT}

example:
  tlsgate partners schema > partners/{SCHEMA_FILE}

exit status: 0 printed, 2 wrong usage
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Set the help text; there are no arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    print(schema_text(), end="")
    return EXIT_OK
