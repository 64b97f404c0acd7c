"""What tlsgate imports is declared in pyproject.toml, and no more; git tracks no ignored file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
FROM_DEBIAN = {"Milter"}
"""Imported in one container alone, whose image has it from Debian (images/notices/Dockerfile)."""


def imported_modules() -> set[str]:
    """The top-level modules that tlsgate imports beside its own and the standard library's."""
    found = set()
    for file in (ROOT / "tlsgate").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return {name.partition(".")[0] for name in found} - {"tlsgate", *sys.stdlib_module_names}


def test_the_dependencies_are_what_is_imported() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    distributions = packages_distributions()
    names = {distributions[module][0] for module in imported_modules() - FROM_DEBIAN}
    imported = {name.lower().replace("_", "-") for name in names}
    assert imported == {re.split(r"[<>=~!]", line)[0] for line in declared}


def test_git_tracks_no_ignored_file() -> None:
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout == ""
