"""How long `tlsgate check` takes for one domain on the list, including its start.

`python -m lab.bench.check` prints the measurements as JSON lines: one with the lab's list and
servers, which includes look-ups and the handshake, and one offline with a list of 2,000 files.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import files, plan
from lab.commands import LabError

COMMAND = "python -m lab.bench.check"
SECONDS_LIMIT = 0.5
RUNS = 5
LONG_LIST = 2000


def measurements() -> Iterator[dict[str, Any]]:
    """Each with `name`, `value`, `unit`, `limit`, `ok`, `command`; the value is a median.

    Raises LabError if the answer itself is wrong, or if the lab is not up.
    """
    roots = str(files.PKI / "public-roots.pem")
    live = ["--resolver", plan.RESOLVER_ADDRESS, "--extra-ca", roots]
    domain = plan.BY_NAME["good"].domain
    yield _measure("check-seconds", files.LAB / "partners", domain, live)
    record = (files.LAB / "partners" / "good.yaml").read_text()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(LONG_LIST):
            text = record.replace("Good Motors AG", f"Partner {number}")
            text = text.replace(domain, f"partner-{number}.example")
            Path(folder, f"partner-{number}.yaml").write_text(text)
        domain = f"partner-{LONG_LIST // 2}.example"
        yield _measure("check-offline-long-list-seconds", Path(folder), domain, ["--offline"])


def _measure(name: str, partners: Path, domain: str, options: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "tlsgate", "check", "--partners", str(partners), *options]
    # Like an installed program, with bytecode on disk: the first run writes it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times: list[float] = []
    used = before = 0.0
    for _ in range(1 + RUNS):
        start = time.monotonic()
        done = subprocess.run(
            [*command, f"a@{domain}"], capture_output=True, text=True, check=False, env=environment
        )
        times.append(time.monotonic() - start)
        used, before = _children_seconds(), used
        if done.returncode != 0 or "Mandatory" not in done.stdout:
            raise LabError(f"`tlsgate check` of {domain} failed: {done.stdout}{done.stderr}")
    del times[0]
    seconds = statistics.median(times)
    return {
        "name": name,
        "value": round(seconds, 3),
        "unit": "s",
        "limit": SECONDS_LIMIT,
        "ok": seconds <= SECONDS_LIMIT,
        "command": COMMAND,
        "processor_seconds": round(used - before, 3),
        "runs": [round(one, 3) for one in times],
    }


def _children_seconds() -> float:
    """Processor time of all commands that have run so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    for measurement in measurements():
        print(json.dumps(measurement), flush=True)
