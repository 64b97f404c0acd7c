"""How long the commands on the partner list take, including their start.

`python -m lab.bench.partners` prints the measurements as JSON lines. Two lists of 10,000 partners,
as git revisions and as folders, with one partner in ten changed; 2,000 files for `fmt` (in which
every file changes, and in which none does) and `check`.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.commands import LabError

COMMAND = "python -m lab.bench.partners"
SECONDS_LIMIT = 2.0
LONG_LIST = 10_000
LIST = 2_000
RUNS = 3
RECORD = """\
name: Partner {number} AG
contact: postmaster@partner-{number}.example
agreed: 2026-10-01
review: 2027-10-01
mode: enforce
domains: [partner-{number}.example, parts.partner-{number}.example]
subdomains: true
outbound:
  verify: pkix
  mx: [{mx}.partner-{number}.example]
inbound:
  require: tls
"""
UNFORMATTED = RECORD.replace("mode: enforce\n", "").replace("parts.partner-", "# one\n  z.partner-")


def measurements() -> Iterator[dict[str, Any]]:
    """Each with `name`, `value`, `unit`, `limit`, `ok`, `command`; the value is a median.

    Raises LabError if a command's answer itself is wrong.
    """
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        old, new = root / "old" / "partners", root / "new" / "partners"
        _write(old, LONG_LIST, lambda _: ".mail")
        _write(new, LONG_LIST, lambda number: ".mail" if number % 10 else "")
        base, head = _revisions(root, old, new)
        weakened = f"{LONG_LIST // 10} WEAKENED"
        runs = [
            _Run("diff-revisions", ("diff", base, head), 3, weakened),
            _Run("diff-folders", ("diff", str(old), str(new)), 3, weakened),
        ]
        some = root / "some"
        runs += [
            _Run("check", ("check", str(some)), 0, f"{LIST} partners"),
            _Run("fmt-unchanged", ("fmt", str(some)), 0, ""),
            _Run("fmt-changed", ("fmt", str(some)), 0, "formatted", UNFORMATTED),
        ]
        for run in runs:
            yield _measure(run, root)


@dataclass(frozen=True, slots=True)
class _Run:
    name: str
    command: tuple[str, ...]
    code: int
    said: str
    record: str = RECORD
    """What the files of the folder `some` hold before each run."""


def _write(folder: Path, count: int, mx: Callable[[int], str], record: str = RECORD) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = record.format(number=number, mx=mx(number))
        (folder / f"partner-{number}.yaml").write_text(text)


def _revisions(root: Path, *folders: Path) -> list[str]:
    """Commit folders as revisions of a repository in `root`, and return their hashes."""
    _git(root, "init", "--quiet")
    return [_commit(root, folder.parent) for folder in folders]


def _commit(root: Path, tree: Path) -> str:
    _git(root, "--work-tree", str(tree), "add", "--all")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@lab.example"]
    _git(root, *who, "--work-tree", str(tree), "commit", "--quiet", "--message", "list")
    return _git(root, "rev-parse", "HEAD")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "--git-dir", str(root / ".git"), *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"git {arguments[0]} failed: {done.stderr}")
    return done.stdout.strip()


def _measure(run: _Run, root: Path) -> dict[str, Any]:
    # Like an installed program, with bytecode on disk: the first run writes it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times, used = [], []
    for _ in range(1 + RUNS):
        _write(root / "some", LIST, lambda _: ".mail", run.record)
        processor, start = _children_seconds(), time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tlsgate", "partners", *run.command],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        times.append(time.monotonic() - start)
        used.append(_children_seconds() - processor)
        if done.returncode != run.code or run.said not in done.stdout:
            raise LabError(f"`tlsgate partners {run.command[0]}` failed: {done.stderr[:300]}")
    seconds = statistics.median(times[1:])
    return {
        "name": f"partners-{run.name}-seconds",
        "value": round(seconds, 3),
        "unit": "s",
        "limit": SECONDS_LIMIT,
        "ok": seconds <= SECONDS_LIMIT,
        "command": COMMAND,
        "processor_seconds": round(statistics.median(used[1:]), 3),
        "runs": [round(one, 3) for one in times[1:]],
    }


def _children_seconds() -> float:
    """Processor time of all commands run so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    for measurement in measurements():
        print(json.dumps(measurement), flush=True)
