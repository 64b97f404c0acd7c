"""The rooms of the code as a table: files, and their median lines; docs/decisions.md compares it.

Run from the repository's root: python -m ci.rooms
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path, PurePath

OUTSIDE = {"tests", "ci", "docs"}


def rooms(root: Path) -> dict[str, list[int]]:
    """Map each folder with tracked Python files to the number of lines of each file."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=True
    )
    found: dict[str, list[int]] = defaultdict(list)
    for name in listed.stdout.split():
        path = PurePath(name)
        # A package's mark says little more than its name.
        if path.parts[0] not in OUTSIDE and path.name != "__init__.py":
            found[str(path.parent)].append(len((root / path).read_text("utf-8").splitlines()))
    return dict(sorted(found.items()))


if __name__ == "__main__":
    for folder, lines in rooms(Path.cwd()).items():
        sys.stdout.write(f"| `{folder}` | {len(lines)}, {statistics.median(lines):.0f} |\n")
