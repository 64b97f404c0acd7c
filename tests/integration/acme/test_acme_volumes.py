"""The running agent's volumes are full or read-only. The old certificate is still served."""

from __future__ import annotations

import json
from typing import Any

import pytest
from docker.models.containers import Container

from tests.integration.acme.acme_agent import MX, mx
from tests.integration.acme.acme_world import AGENT_IMAGE, World, wait_for
from tests.integration.acme.test_acme_container import Stack, stack

pytestmark = pytest.mark.integration
__all__ = ["stack"]
TMPFS = "size=256k,uid=10001,gid=10001,mode=0700"
FILL = "cat /dev/zero > /keys/mx/filler || true"


def start(stack: Stack, world: World, **options: Any) -> Container:
    """Start the agent with these options for its volumes."""
    return world.container(
        "agent",
        AGENT_IMAGE,
        None,
        command=["run"],
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        **options,
    )


def served_certificate(container: Container) -> dict[str, Any]:
    """`status` of the one certificate."""
    done = container.exec_run(["python3", "-m", "tlsgate.acme", "status", "--json"])
    assert isinstance(done.output, bytes)
    found: dict[str, Any] = json.loads(done.output)["certificates"][0]
    return found


def alerts(container: Container) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in container.logs(stderr=False).splitlines()]
    return [line for line in lines if line["event"] == "alert"]


def shell(container: Container, script: str) -> None:
    assert container.exec_run(["sh", "-c", script]).exit_code == 0


def renew(container: Container) -> None:
    done = container.exec_run(["python3", "-m", "tlsgate.acme", "renew", MX])
    assert done.exit_code == 0, done.output


def test_a_full_disk(stack: Stack, world: World) -> None:
    stack.configure([mx()], look_seconds=1)
    config = {str(stack.folder.config): {"bind": "/config", "mode": "ro"}}
    tmpfs = {"/tmp": "", "/acme": TMPFS, "/keys/mx": TMPFS}  # noqa: S108 - the container's own
    agent = start(stack, world, volumes=config, tmpfs=tmpfs)
    try:
        wait_for(
            lambda: served_certificate(agent)["served"] is not None, "the first certificate", 30
        )
        before = served_certificate(agent)["served"]
        shell(agent, FILL)
        renew(agent)
        wait_for(lambda: bool(alerts(agent)), "an alert")
        (alert,) = alerts(agent)
        assert "No space left on device" in alert["reason"]
        assert served_certificate(agent)["served"] == before
        assert served_certificate(agent)["failure"]["count"] == 1

        # With free space the next attempt succeeds; the test does not wait for the agent's own one.
        shell(agent, "rm /keys/mx/filler")
        shell(agent, "python3 -m tlsgate.acme issue")
        assert served_certificate(agent)["served"]["serial"] != before["serial"]
        assert served_certificate(agent)["failure"] is None
    finally:
        world.remove(agent)


def test_a_volume_that_became_read_only(stack: Stack, world: World) -> None:
    stack.configure([mx()], look_seconds=1)
    assert stack.run("issue")[0] == 0
    config = {str(stack.folder.config): {"bind": "/config", "mode": "ro"}}
    modes = {"/acme": "rw", "/keys/mx": "ro", "/keys/policy": "ro"}
    mounts = {name: {"bind": path, "mode": modes[path]} for path, name in stack.volumes.items()}
    tmpfs = {"/tmp": ""}  # noqa: S108 - the container's own
    agent = start(stack, world, volumes={**config, **mounts}, tmpfs=tmpfs)
    try:
        wait_for(lambda: b'"agent"' in agent.logs(), "the agent runs")
        before = served_certificate(agent)["served"]
        renew(agent)
        wait_for(lambda: bool(alerts(agent)), "an alert")
        assert "Read-only file system" in alerts(agent)[0]["reason"]
        assert served_certificate(agent)["served"] == before
    finally:
        world.remove(agent)
    assert stack.run("issue")[0] == 0
    code, output = stack.run("status", "--json")
    assert code == 0
    assert json.loads(output)["certificates"][0]["served"]["serial"] != before["serial"]
