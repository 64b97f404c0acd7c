"""A message that was answered with 250 is not lost, even if the gateway's container is killed."""

from __future__ import annotations

import threading

import pytest

from lab import files, plan
from lab.driver import new_token
from lab.endpoints import gateway_container
from tests.e2e.conftest import World
from tests.e2e.submission import submit
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

PEERS = ("good", "hosted")
MESSAGES = 500
KILLED_AFTER = 250


def test_what_was_accepted_survives_sigkill(world: World) -> None:
    """One peer accepts its mail at once; the other is paused, so that its mail is in the queue."""
    gateway = world.client.containers.get(gateway_container("gateway"))
    frozen = world.client.containers.get(plan.container_name("hosted"))
    accepted: list[str] = []
    half = threading.Event()

    def note(recipient: str) -> None:
        accepted.append(recipient)
        if len(accepted) >= KILLED_AFTER:
            half.set()

    domains = ("good.example", "hosted.example")
    recipients = [f"{new_token()}@{domains[number % 2]}" for number in range(MESSAGES)]
    sending = threading.Thread(target=submit, args=(recipients, note, 60))
    frozen.pause()
    sending.start()
    try:
        assert half.wait(60)
        gateway.kill("SIGKILL")
        sending.join()
        under_way = set(accepted) - delivered()
    finally:
        frozen.unpause()
        gateway.start()
    assert KILLED_AFTER <= len(accepted) < MESSAGES
    assert len(under_way) > KILLED_AFTER // 4
    until(lambda: delivered().issuperset(accepted), "delivery of all that was answered with 250")


def delivered() -> set[str]:
    """The recipients of all mail in the two mailboxes."""
    found: set[str] = set()
    for path in (path for peer in PEERS for path in (files.MAILBOXES / peer / "new").glob("*")):
        with path.open(errors="replace") as file:
            head = file.read(400)
        found.update(line.partition(": ")[2] for line in head.splitlines()[:3])
    return found
