"""The agent's image as in production: hardened, with its own volumes, as a job and permanently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.integration.acme.acme_agent import MX, configure, mx, policy
from tests.integration.acme.acme_world import AGENT_IMAGE, LABELS, ROOT, World, wait_for

pytestmark = pytest.mark.integration
UID = 10001


class Stack:
    """The agent's named volumes, and containers on them with the components' options."""

    def __init__(self, client: docker.DockerClient, world: World, name: str) -> None:
        self._client = client
        self._world = world
        self.folder = world.volumes(name)
        names = {"/acme": "acme", "/keys/mx": "mx", "/keys/policy": "policy"}
        self.volumes = {
            target: f"tg-acme-{uuid.uuid4().hex[:8]}-{suffix}" for target, suffix in names.items()
        }
        self._made: list[Container] = []
        for volume in self.volumes.values():
            client.volumes.create(volume, labels=LABELS)

    def configure(self, certificates: list[dict[str, object]], **values: object) -> None:
        """agent.json and the secrets, as the configuration volume has them."""
        path = configure(self._world, self.folder, certificates, **values)
        path.write_text(path.read_text().replace(str(self.folder.config), "/config"))
        self.folder.root.chmod(0o755)
        for file in self.folder.config.iterdir():
            file.chmod(0o600 if file.suffix in (".tsig", ".key") else 0o644)
            os.chown(file, UID, UID)

    def start(self, *command: str) -> Container:
        """One container, hardened as the image's Dockerfile says."""
        options: dict[str, Any] = {
            "command": list(command),
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "mem_limit": "256m",
            "pids_limit": 64,
            "tmpfs": {"/tmp": ""},  # noqa: S108  # the container's own
            "volumes": {
                str(self.folder.config): {"bind": "/config", "mode": "ro"},
                **{name: {"bind": path, "mode": "rw"} for path, name in self.volumes.items()},
            },
        }
        container = self._world.container("agent", AGENT_IMAGE, None, **options)
        self._made.append(container)
        return container

    def run(self, *command: str) -> tuple[int, str]:
        """Exit code and output of a container that ends."""
        container = self.start(*command)
        code = container.wait(timeout=60)["StatusCode"]
        return code, container.logs().decode()

    def execute(self, container: Container, *command: str) -> tuple[int, str]:
        """A command in a running container."""
        result = container.exec_run(["python3", "-m", "tlsgate.acme", *command])
        assert isinstance(result.output, bytes)
        return int(result.exit_code or 0), result.output.decode()

    def remove(self) -> None:
        """Containers first: a volume in use cannot be removed."""
        for container in self._made:
            self._world.remove(container)
        for volume in self.volumes.values():
            self._client.volumes.get(volume).remove(force=True)


@pytest.fixture
def stack(
    client: docker.DockerClient, world: World, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    made = Stack(client, world, f"stack-{request.node.name}")
    try:
        yield made
    finally:
        made.remove()


def test_job_then_agent(stack: Stack) -> None:
    """The job issues; the agent is healthy, does not order again, and stops on SIGTERM."""
    sts = policy(1, "mta-sts.corp.example")
    stack.configure([mx(), sts], profile="default", look_seconds=1)
    code, output = stack.run("issue")
    assert code == 0, output
    result = json.loads(output.splitlines()[-1])
    assert [entry["name"] for entry in result["certificates"]] == [MX, "policy-1"]

    agent = stack.start("run")
    wait_for(lambda: stack.execute(agent, "health")[0] == 0, "the agent is healthy")
    wait_for(lambda: agent.exec_run(["agent-health"]).exit_code == 0, "its health check passes")
    code, shown = stack.execute(agent, "show")
    assert set(result.pop("keys")) == {MX, "policy-1"}
    assert (code, json.loads(shown)) == (0, result)

    # Another name: the agent notices the new agent.json itself.
    stack.configure([mx("mx.brand.example"), sts], profile="default", look_seconds=1)

    def reissued() -> bool:
        names = json.loads(stack.execute(agent, "show")[1])["certificates"][0]["names"]
        return bool(names == ["mx.brand.example", MX])

    wait_for(reissued, "the agent uses the new configuration", 30)
    agent.stop(timeout=10)
    agent.reload()
    log = agent.logs().decode()
    assert agent.attrs["State"]["ExitCode"] == 0, log
    kinds = [json.loads(line)["event"] for line in log.splitlines()]
    assert [kind for kind in kinds if kind != "renewal-info"] == [
        *("agent", "config", "due", "account", "order", "switch", "certificate", "stopped")
    ]
    assert "PRIVATE" not in output + shown + log


def test_unhealthy_without_certificates(stack: Stack, world: World) -> None:
    """The CA does not answer: reported once, counted, not tried again at the next check."""
    directory = f"https://{world.ca_address}:14001/dir"
    stack.configure([mx()], look_seconds=1, directory=directory)
    agent = stack.start("run")
    wait_for(lambda: b'"alert"' in agent.logs(), "the agent reports the fault")
    code, output = stack.execute(agent, "health")
    assert (code, output) == (1, f"certificate {MX} is missing\n")
    check = agent.exec_run(["agent-health"])
    assert (check.exit_code, check.output) == (1, f"certificate {MX} is missing\n".encode())
    failures = agent.exec_run(["cat", "/acme/failures.json"]).output
    assert isinstance(failures, bytes)
    assert json.loads(failures)["data"][f"mx/{MX}"]["count"] == 1
    agent.stop(timeout=10)
    alerts = [json.loads(line) for line in agent.logs().splitlines() if b'"alert"' in line]
    assert len(alerts) == 1
    assert "cannot be reached" in alerts[0]["reason"]
    assert alerts[0]["next"].startswith("attempt 1 failed; next at ")


def test_volumes_that_cannot_be_written(stack: Stack, world: World) -> None:
    """Without its volumes, on a read-only root file system."""
    stack.configure([mx()])
    config = {str(stack.folder.config): {"bind": "/config", "mode": "ro"}}
    container = world.container(
        "agent", AGENT_IMAGE, None, command=["issue"], read_only=True, volumes=config
    )
    assert container.wait(timeout=30)["StatusCode"] == 1
    log = container.logs().decode()
    assert "the state volume cannot be used: [Errno 30] Read-only file system" in log
    assert "What to do: check that it is writable for user 10001" in log


def test_the_image_contains_no_build_tools(world: World) -> None:
    """Neither pip nor the package index's CA bundle, and only the agent's user."""
    script = "id -u; ls /tmp; python3 -m pip --version; ls /opt/packages/bin"
    container = world.container("look", AGENT_IMAGE, None, entrypoint=["sh", "-c", script])
    container.wait(timeout=30)
    assert container.logs(stderr=False).decode() == f"{UID}\n"
    assert b"No module named pip" in container.logs(stdout=False)


def test_two_jobs_at_once_order_once(world: World, image: str) -> None:
    volumes = world.volumes("twice")
    configure(world, volumes, [mx()])
    command = [sys.executable, "-m", "tlsgate.acme", "issue"]
    places = {"--config": volumes.config / "agent.json", "--state": volumes.state}
    places["--keys"] = volumes.keys
    for option, place in places.items():
        command += [option, str(place)]
    jobs = [
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    outputs = [job.communicate(timeout=60) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], outputs
    events = [json.loads(line) for output, _ in outputs for line in output.splitlines()]
    assert [event["event"] for event in events if event.get("event") == "order"] == ["order"]
    assert len({json.dumps(event) for event in events if "certificates" in event}) == 1
    assert len(list(Path(volumes.keys / "mx" / MX / "generations").iterdir())) == 1


def test_two_agents_and_an_up_at_once_order_once(stack: Stack) -> None:
    """All of them see that it is due: one orders, the others use its certificate."""
    stack.configure([mx()], look_seconds=1)
    agents = [stack.start("run"), stack.start("run")]
    code, output = stack.run("issue")
    assert code == 0, output
    assert stack.execute(agents[0], "renew", MX)[0] == 0
    code, again = stack.run("issue")
    assert code == 0, again

    def renewed() -> bool:
        found = json.loads(stack.execute(agents[0], "status", "--json")[1])["certificates"][0]
        return len(found["kept"]) == 1

    wait_for(renewed, "the renewal", 30)
    for agent in agents:
        agent.stop(timeout=10)
    logs = [output, again, *(agent.logs(stderr=False).decode() for agent in agents)]
    events = [json.loads(line) for log in logs for line in log.splitlines()]
    assert [event.get("event") for event in events].count("order") == 2
    assert not [event for event in events if event.get("event") == "alert"]
