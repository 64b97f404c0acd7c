"""`python -m lab.demo`: starts everything, sends real mail and prints the results in one table.

Starts the lab, then the gateway, runs every case of DESIGN §5, and exits non-zero if a result
differs. It can be run again at any time: what runs is kept, and an interrupted run is continued.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from lab.attacks import run_attacks
from lab.bring_up import bring_up, engine
from lab.cases import inbound_cases, outage_cases, outbound_cases
from lab.commands import GATEWAY, LabError, changes, up
from lab.driver import Lab
from lab.outage import run_outage
from lab.review_demo import review_changes
from lab.rotation import demonstrate
from lab.table import render_table
from lab.trial import run_inbound, run_outbound

T = TypeVar("T")
START = time.monotonic()


def main() -> int:
    """Run the demo; return 0 if every result is as expected."""
    try:
        client = engine()
        step("the lab", lambda: bring_up(client))
        step("the gateway", lambda: changes(up(GATEWAY, client)))
        lab = Lab(client)
        lab.delete_leftover_mail()
        outages = outage_cases()
        with ThreadPoolExecutor(3) as pool:
            reviewed = pool.submit(review_changes)
            outbound = pool.submit(run_outbound, lab, outbound_cases())
            inbound = pool.submit(run_inbound, lab, inbound_cases())
            results = step("mail in both directions", lambda: outbound.result() + inbound.result())
            reports = step("changes of the partner list", reviewed.result)
        for role in ("policy", "resolver"):
            results += step(f"mail with the {role} down", partial(run_outage, lab, role, outages))
        results += step("attacks from outside", partial(run_attacks, lab))
        step("a renewal and another key", demonstrate)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    wrong = sum(bool(one.fault) for one in results)
    print("", reports, render_table(results), sep="\n")
    print(f"{len(results)} cases, {wrong} differ, {time.monotonic() - START:.0f} s in all")
    return 1 if wrong else 0


def step(name: str, work: Callable[[], T]) -> T:
    """Print what is being done, and how long it took."""
    print(f"{name} …", end=" ", flush=True)
    begun = time.monotonic()
    result = work()
    said = result if isinstance(result, str) else "done"
    print(f"{said} ({time.monotonic() - begun:.1f} s)", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
