"""Partner lists in the revisions of a git repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.unit.partners.partner_files import record

ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@corp.example",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@corp.example",
}
ACME = record()
BETA = record(name="Beta", domains="[beta.example]")


class Repository:
    """The repository in which the test runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        self.base = ""
        """The commit that a test starts from, if it does."""

    def git(self, *arguments: str, data: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=ENVIRONMENT,
            input=data,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def commit(self, files: Mapping[str, str | bytes]) -> str:
        """Commit exactly these files, from the index alone: nothing is on disk."""
        self.git("read-tree", "--empty")
        for path, content in files.items():
            self.entry("100644", self.blob(content), path)
        return self.commit_index()

    def blob(self, content: str | bytes) -> str:
        data = content.encode() if isinstance(content, str) else content
        return self.git("hash-object", "-w", "--stdin", data=data)

    def entry(self, mode: str, oid: str, path: str) -> None:
        """Put anything into the index: links 120000, submodules 160000, executables 100755."""
        self.git("update-index", "--add", "--cacheinfo", f"{mode},{oid},{path}")

    def commit_index(self) -> str:
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")
