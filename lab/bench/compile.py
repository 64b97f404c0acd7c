"""How long a list of 10,000 partners in 2,000 files takes to load, validate and compile.

Runs `tlsgate partners compile --json` as a user does, in its own process, including its start.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from lab.bench.line import line
from lab.commands import LabError

COMMAND = "python -m lab.bench compile"
FILES = 2_000
RECORDS_A_FILE = 5
RUNS = 3
RECORD = """\
name: Partner {number}
contact: postmaster@partner-{number}.example
agreed: 2026-10-01
review: 2027-10-01
mode: enforce
domains: [parts.partner-{number}-group.example, partner-{number}.example]
subdomains: true
outbound:
  verify: pkix
  mx: [.mail.partner-{number}.example]
inbound:
  require: network
  networks: [10.{high}.{low}.0/24]
"""


def measurements() -> Iterator[dict[str, Any]]:
    """Seconds (median) and MB (the largest of the runs)."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        seconds = [_compile(folder) for _ in range(RUNS)]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    runs = [round(one, 2) for one in seconds]
    yield line("compile-10000-partners", median(seconds), "s", 3, COMMAND, runs=runs)
    yield line("compile-10000-partners-memory", peak, "MB", 300, COMMAND)


def _write(folder: Path) -> None:
    for file in range(FILES):
        numbers = range(file * RECORDS_A_FILE, (file + 1) * RECORDS_A_FILE)
        records = [RECORD.format(number=n, high=n // 256, low=n % 256) for n in numbers]
        (folder / f"partners-{file}.yaml").write_text("---\n".join(records))


def _compile(folder: str) -> float:
    command = [sys.executable, "-m", "tlsgate", "partners", "compile", folder, "--json"]
    begun = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise LabError(f"the list was refused: {done.stderr.decode()[-500:]}")
    return time.monotonic() - begun
