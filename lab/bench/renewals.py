"""1,000 names of a hosting provider in 40 certificates: all are renewed in one window of the CA.

`python -m lab.bench renewals` prints the measurements. The agent is the real one, with its
volumes in memory; the CA is tests/support/memory_ca.py, and the clock is simulated. The agent
checks every quarter of an hour within a window and twice a day otherwise. The CA counts what a
real CA would refuse. Each scenario runs in its own process, whose memory includes the CA's.

In the second scenario half of the names always fail from the first window on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from lab.bench.line import line
from lab.commands import LabError
from tests.support.memory_ca import Reply, serial_of, window
from tests.support.memory_world import START, World
from tlsgate.acme.agent.loop import Agent
from tlsgate.acme.config.limits import Limits

COMMAND = "python -m lab.bench renewals"
CERTIFICATES, NAMES = 40, 25
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WINDOWS = tuple((START + days * DAY, START + (days + 1) * DAY) for days in (20, 40))
WITHIN, BETWEEN = timedelta(minutes=15), timedelta(hours=12)
SCENARIOS = {"renewals": 0, "renewals-half-failing": CERTIFICATES // 2}
"""Name → how many certificates fail from the first window on."""
BUSIEST_HOUR = 10
"""Of 40 orders in 24 hours; all at once would be 40."""
GROWTH_LIMIT = 2.0


def measurements() -> Iterator[dict[str, Any]]:
    """Each with `name`, `value`, `unit`, `limit`, `ok`, `command` and what it is computed from.

    Raises LabError if a scenario ends with an error.
    """
    limits = Limits()
    for name, failing in SCENARIOS.items():
        found = _measured(failing)
        for key, unit, limit in (
            ("orders_in_3_hours", "orders", limits.orders.count),
            ("failures_of_a_name_in_an_hour", "validations", limits.failed_authorizations.count),
            ("renewals_in_an_hour", "orders", BUSIEST_HOUR),
            ("megabytes_grown", "MB", GROWTH_LIMIT),
        ):
            yield line(f"{name}-{key}", found[key], unit, limit, COMMAND)
        yield line(
            f"{name}-in-the-window",
            found["renewed"],
            "certificates",
            len(WINDOWS) * (CERTIFICATES - failing),
            COMMAND,
            least=True,
            **found,
        )


def _measured(failing: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "lab.bench.renewals", "--failing", str(failing)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"the simulation ended with an error:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def simulate(root: Path, failing: int) -> dict[str, Any]:
    """Run the scenario with its volumes below `root`; return the CA's counts and the memory."""
    world, begun = World(root), time.monotonic()
    _trust(root, world)
    world.ca.window = lambda identifier: _next_window(world, identifier)
    names = [[f"mta-sts.c{c}-{n}.example" for n in range(NAMES)] for c in range(CERTIFICATES)]
    world.configure(names, look_seconds=3600)
    broken = {name for group in names[:failing] for name in group}
    agent, tally, sizes, renewed = world.agent(), Tally(), [], 0
    agent.look()
    world.ca.never_valid = lambda name: name in broken
    for start, end in WINDOWS:
        _run(world, agent, tally, (start, BETWEEN))
        before = len(world.ca.issued)
        _run(world, agent, tally, (end + HOUR, WITHIN))
        late = end + WITHIN  # the check after the window sees what was due at its very end
        renewed += len({issue.names for issue in world.ca.issued[before:] if issue.at <= late})
        sizes.append(_megabytes())
    renewals = [issue.at for issue in world.ca.issued if issue.at > START + HOUR]
    orders = world.ca.placed
    return {
        "renewed": renewed,
        "certificates": CERTIFICATES,
        "names": CERTIFICATES * NAMES,
        "issued": len(world.ca.issued),
        "orders": len(orders),
        "orders_in_3_hours": _most(orders, 3 * HOUR),
        "renewals_in_an_hour": _most(renewals, HOUR),
        "failures_of_a_name_in_an_hour": tally.most,
        "megabytes": sizes[-1],
        "megabytes_grown": round(sizes[-1] - sizes[0], 2),
        "seconds": round(time.monotonic() - begun, 1),
    }


class Tally:
    """Counts failed validations by name: the maximum within any hour. Keeps one hour of them."""

    def __init__(self) -> None:
        self.most = 0
        self._recent: dict[str, list[datetime]] = {}

    def count(self, failed: Sequence[tuple[datetime, str]]) -> None:
        """Count a failure. Calls must be in the order of time."""
        for at, name in failed:
            times = [other for other in self._recent.get(name, []) if at - other < HOUR]
            self._recent[name] = [*times, at]
            self.most = max(self.most, len(times) + 1)


def _run(world: World, agent: Agent, tally: Tally, span: tuple[datetime, timedelta]) -> None:
    """Run checks until a time, in steps. The CA deletes old data, because its memory counts too."""
    until, step = span
    while world.time.now < until:
        world.time.now = min(world.time.now + step, until)
        agent.look()
        tally.count(world.ca.failed)
        world.ca.forget()


def _next_window(world: World, identifier: str) -> Reply:
    """The window after the one that the certificate was issued in."""
    serial = serial_of(identifier)
    issued = next(issue.at for issue in world.ca.issued if issue.serial == serial)
    found = next((one for one in WINDOWS if one[0] > issued), None)
    return window(*(found or (issued + 60 * DAY, issued + 61 * DAY)))


def _most(times: Sequence[datetime], span: timedelta) -> int:
    """The maximum number within any interval of this length."""
    ordered = sorted(times)
    return max((sum(at <= other < at + span for other in ordered) for at in ordered), default=0)


def _trust(root: Path, world: World) -> None:
    """Write a minimal CA bundle of the system."""
    bundle = root / "system.pem"
    bundle.write_bytes(world.ca.root.public_bytes(serialization.Encoding.PEM))
    os.environ["SSL_CERT_FILE"] = str(bundle)


def _megabytes() -> float:
    """The process's present memory use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGESIZE") / 2**20, 2)


def main() -> None:
    """Run one scenario; print its results as JSON."""
    parser = argparse.ArgumentParser(prog="lab.bench.renewals", description=__doc__)
    parser.add_argument("--failing", type=int, default=0, metavar="CERTIFICATES")
    options = parser.parse_args()
    nowhere = io.StringIO()
    nowhere.write = len  # type: ignore[method-assign]  # the events are not kept
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # no disk to wait for
    with tempfile.TemporaryDirectory(dir=memory) as folder, contextlib.redirect_stdout(nowhere):
        found = simulate(Path(folder), options.failing)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
