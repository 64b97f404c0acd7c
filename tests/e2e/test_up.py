"""`pulumi up`, `refresh` and `preview` on the running stack: no false changes, no missed drift."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import plan
from lab.driver import Lab, new_token
from lab.endpoints import gateway_container
from tests.e2e import records
from tests.e2e.conftest import World
from tests.e2e.deployment import Deployment, demo_config, write_config
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

DEMO = Deployment()
ZONE = "corp.example"
REPORT_NAME = "_smtp._tls"
REPORT = '"v=TLSRPTv1; rua=mailto:tls-reports@corp.example"'
ELSEWHERE = '"v=TLSRPTv1; rua=mailto:somebody@stranger.example"'
LIVE_MAP = "/config/current/partner_policy"
HAND_MADE = "\nselfsigned.example\tmay\n"


@pytest.fixture(scope="module", autouse=True)
def settled(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    """Before and after a test the stack has no pending changes, even if the test failed."""
    failed = request.session.testsfailed
    assert DEMO.up().code == 0
    yield
    if request.session.testsfailed > failed:
        DEMO.refresh()
        assert DEMO.up().code == 0


def test_a_second_up_and_a_refresh_find_nothing_to_do() -> None:
    again, refreshed = DEMO.up(), DEMO.refresh()
    for said in (again, refreshed):
        assert said.code == 0
        assert said.changes.endswith("unchanged"), said.text
        assert " ".join(said.changes.split()[1:]) == "unchanged", said.text


def test_a_live_map_changed_by_hand_is_found_and_restored(world: World, lab: Lab) -> None:
    """It is never active either, because the watcher activates only whole generations."""
    edit_live_map(world, r"s/^selfsigned\.example\t.*/selfsigned.example\tmay/")
    assert HAND_MADE in live_map(world)
    token = new_token()
    to = f"{token}@selfsigned.example"
    lab.send([(token, to, "")])
    refreshed = DEMO.refresh()
    assert "partner-list updated" in refreshed.text
    assert refreshed.changes.startswith("~ 1 updated"), refreshed.text
    until(lambda: [one for one in lab.queue() if one.recipient == to and one.reason], "delay")
    repaired = DEMO.up()
    assert (repaired.code, repaired.changes[:11]) == (0, "~ 1 updated"), repaired.text
    assert HAND_MADE not in live_map(world)
    assert not lab.received("selfsigned", token)


def test_a_record_changed_by_hand_is_found_and_restored(world: World) -> None:
    ours = f"{REPORT_NAME} 60 TXT {REPORT}"
    assert ours in records.zone_lines(ZONE)
    records.replace(ZONE, REPORT_NAME, 60, "TXT", ELSEWHERE)
    refreshed = DEMO.refresh()
    assert "tlsgate:DnsRecords gateway-mail-records updated" in refreshed.text
    assert refreshed.changes.startswith("~ 1 updated"), refreshed.text
    repaired = DEMO.up()
    assert repaired.code == 0, repaired.text
    assert ours in records.zone_lines(ZONE)
    assert not [line for line in records.zone_lines(ZONE) if "stranger.example" in line]


def test_a_preview_orders_and_publishes_nothing(world: World, tmp_path: Path) -> None:
    """A new domain needs a certificate and records: the preview only shows them."""
    config = demo_config()
    config["config"]["tlsgate:domains"] = ["corp.example", "brand.example", "more.corp.example"]
    file = write_config(tmp_path / "Pulumi.demo.yaml", config)
    before, begun = records.serial(ZONE), time.time()
    said = Deployment(options=("--config-file", str(file))).preview()
    assert said.code == 0, said.text
    assert "more.corp.example" in said.text
    assert "issue" in said.text
    assert records.serial(ZONE) == before
    asked = directory_log(world, begun)
    assert "order" not in asked
    # The CA's log does contain orders: those of the demo's own certificates.
    assert "/order-plz" in directory_log(world)


def directory_log(world: World, since: float = 1.0) -> str:
    return world.log(plan.container_name("ca"), since)


def edit_live_map(world: World, script: str) -> None:
    """Edit the partner map on the configuration volume, as a person with root access might."""
    gateway = world.client.containers.get(gateway_container("gateway"))
    volume = next(m["Name"] for m in gateway.attrs["Mounts"] if m["Destination"] == "/config")
    world.client.containers.run(
        gateway.attrs["Image"],
        ["-i", script, LIVE_MAP],
        entrypoint="sed",
        remove=True,
        network_mode="none",
        labels={"tlsgate.dev": "e2e"},
        volumes={volume: {"bind": "/config", "mode": "rw"}},
    )


def live_map(world: World) -> str:
    return world.execute(gateway_container("gateway"), "cat", LIVE_MAP)
