"""`pulumi destroy` keeps only mail and keys, and deletes these too if it is configured to.

It uses the second gateway, so that the demo's keeps running. (`zz`: this file must run last.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.driver import message_text, new_token
from tests.e2e.deployment import PulumiResult
from tests.e2e.spare import HOST, INTERNAL, KEPT, STACK, Config, Leftovers, Spare
from tests.e2e.submission import client
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

NOTHING = Leftovers(*(frozenset[str]() for _ in range(5)))
GATEWAY = f"tlsgate-{STACK}-gateway"
HELD = f"{new_token()}@plain.example"


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what existed after it."""

    said: PulumiResult
    left: Leftovers
    outputs: Mapping[str, Any]
    processes: frozenset[int]
    queue: frozenset[str]


@pytest.fixture(scope="module")
def life(spare: Spare) -> Mapping[str, Step]:
    """Up, with a queued message; destroy; up again; up with deletion of data; destroy."""
    steps = {}

    def step(name: str, said: PulumiResult) -> None:
        outputs = spare.deployment.outputs()
        steps[name] = Step(said, spare.left(), outputs, processes(spare), queue(spare))

    def delete_data(config: Config) -> None:
        config["tlsgate:deleteData"] = True

    spare.configure()
    said = spare.deployment.up()
    hold_a_message(spare)
    step("up", said)
    step("destroyed", spare.deployment.destroy())
    step("up again", spare.deployment.up())
    spare.configure(delete_data)
    step("up to be deleted", spare.deployment.up())
    step("deleted", spare.deployment.destroy())
    return steps


def hold_a_message(spare: Spare) -> None:
    with client(INTERNAL, HOST) as smtp:
        sender = "alice@corp.example"
        smtp.sendmail(sender, HELD, message_text(sender, HELD, HELD.partition("@")[0]))
    until(lambda: HELD in queue(spare), "message in the queue")


def queue(spare: Spare) -> frozenset[str]:
    """The recipients in the gateway's queue."""
    for gateway in spare.client.containers.list(filters={"name": GATEWAY}):
        output = gateway.exec_run(["postqueue", "-j"])[1]
        lines = output.decode().splitlines() if isinstance(output, bytes) else []
        return frozenset(
            recipient["address"]
            for entry in map(json.loads, lines)
            for recipient in entry["recipients"]
        )
    return frozenset()


def processes(spare: Spare) -> frozenset[int]:
    """The process ids of the stack's containers on this machine."""
    found = spare.client.containers.list(filters={"label": f"tlsgate.stack={STACK}"})
    return frozenset(one.attrs["State"]["Pid"] for one in found)


def test_there_was_something_to_destroy(life: Mapping[str, Step]) -> None:
    up = life["up"]
    assert up.said.code == 0, up.said.text
    assert len(up.left.containers) == 6
    assert {line.split()[2] for line in up.left.records} == {"A", "CAA", "MX", "TLSA", "TXT"}
    assert len(up.processes) == 6
    assert HELD in up.queue


def test_destroy_leaves_mail_and_keys_and_nothing_else(life: Mapping[str, Step]) -> None:
    destroyed = life["destroyed"]
    assert destroyed.said.code == 0, destroyed.said.text
    assert destroyed.left == Leftovers(
        frozenset(), frozenset(), frozenset(KEPT), frozenset(), frozenset()
    )
    assert not [pid for pid in life["up"].processes if Path(f"/proc/{pid}").exists()]


def test_up_again_uses_the_same_keys_and_mail(life: Mapping[str, Step]) -> None:
    before, again = life["up"], life["up again"]
    assert again.said.code == 0, again.said.text
    for output in ("certificates", "acmeAccount", "records"):
        assert again.outputs[output] == before.outputs[output]
    assert again.outputs["certificates"]
    assert again.left == before.left
    assert HELD in again.queue


def test_destroy_deletes_mail_and_keys_if_configured(life: Mapping[str, Step]) -> None:
    assert life["up to be deleted"].said.code == 0, life["up to be deleted"].said.text
    assert life["deleted"].said.code == 0, life["deleted"].said.text
    assert life["deleted"].left == NOTHING
