"""A server that hangs in its real image is restarted automatically; a healthy one is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from tests.integration.edge.edge_lab import build, execute, network, start, until_healthy
from tests.unit.policy.partner_list import partner, rules_json
from tlsgate.partners.model import Inbound, Require
from tlsgate.render.unbound import ResolverSettings, render_unbound

pytestmark = pytest.mark.integration

HEALTH = {
    "resolver": ["resolver-health"],
    "policy": ["python3", "-m", "tlsgate.policy", "health"],
    # It has no list here, so it is unhealthy, but that is no reason for a restart.
    "notices": ["python3", "-m", "tlsgate.notices", "alive"],
}
PROGRAMS = {"resolver": "unbound", "policy": "python3", "notices": "python3"}
RESTART = {"Name": "unless-stopped"}
HANG_SECONDS = 30
NOBODY = "192.0.2.53"
"""A name server that does not exist (RFC 5737)."""


@dataclass(frozen=True, slots=True)
class Hanging:
    """`stranded`: a resolver whose upstream does not answer. `empty`: a helper without a list."""

    resolver: Container
    policy: Container
    notices: Container
    stranded: Container
    empty: Container


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env(timeout=120)
    yield made
    made.close()


@pytest.fixture(scope="module")
def servers(
    client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hanging]:
    root = tmp_path_factory.mktemp("watchdog")
    images = {name: build(client, name) for name in HEALTH}
    stubs = {"example": (NOBODY,)}
    conf = render_unbound(ResolverSettings(stubs, "", ("192.0.2.0/24",)))
    resolver = {"/config": (folder(root / "resolver", {"unbound.conf": conf}), "ro")}
    proved = Inbound(Require.CERTIFICATE, public_keys=("ab" * 32,))
    listed = folder(
        root / "config" / "generations" / "1",
        {"partner_rules.json": rules_json(partner("acme.example", inbound=proved))},
    ).parents[1]
    listed.chmod(0o755)
    (listed / "current").symlink_to("generations/1")
    made: list[Container] = []
    with network(client) as net:
        base = net.attrs["IPAM"]["Config"][0]["Subnet"].rpartition(".")[0]
        try:
            for number, (image, mounts) in enumerate(
                (
                    ("resolver", resolver),
                    ("policy", {"/config": (listed, "ro")}),
                    ("notices", {"/config": (folder(root / "none", {}), "ro")}),
                    ("resolver", resolver),
                    ("policy", {"/config": (folder(root / "empty", {}), "ro")}),
                ),
                start=20,
            ):
                address = f"{base}.{number}"
                options = {
                    "environment": {"TLSGATE_RESOLVER": NOBODY},
                    "restart_policy": RESTART,
                }
                made.append(start(client, images[image], net, address, mounts, **options))
            servers = Hanging(*made)
            for name, command in HEALTH.items():
                until_healthy(getattr(servers, name), command)
            until_healthy(servers.stranded, HEALTH["resolver"])
            until_healthy(servers.empty, HEALTH["policy"])
            yield servers
        finally:
            for container in made:
                container.remove(force=True, v=True)


def folder(path: Path, files: dict[str, str]) -> Path:
    """A folder that the containers' user may read."""
    path.mkdir(parents=True)
    for made in (path, *path.parents[:2]):
        made.chmod(0o755)
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def until_watched(container: Container) -> None:
    """The start-up grace ends with the first check that passes."""
    deadline = time.monotonic() + 30
    while not events(container, "watching"):
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.2)


def restarts(container: Container) -> int:
    container.reload()
    return int(container.attrs["RestartCount"])


def server_pid(container: Container) -> str:
    """The first child of process 1."""
    _, children = execute(container, ["cat", "/proc/1/task/1/children"])
    return children.split()[0]


@pytest.mark.parametrize("name", list(HEALTH))
def test_a_hanging_server_is_restarted(servers: Hanging, name: str) -> None:
    container: Container = getattr(servers, name)
    until_watched(container)
    pid = server_pid(container)
    assert execute(container, ["cat", f"/proc/{pid}/comm"]) == (0, f"{PROGRAMS[name]}\n")
    before = restarts(container)
    code, output = execute(container, ["sh", "-c", f"kill -STOP {pid}"])
    assert code == 0, output
    deadline = time.monotonic() + HANG_SECONDS
    while not _serves_again(container, before, HEALTH[name]):
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.2)
    (alert,) = alerts(container)
    assert alert["reason"].endswith("failed 2 times in a row")


def _serves_again(container: Container, before: int, health: list[str]) -> bool:
    if restarts(container) == before or container.status != "running":
        return False
    try:
        return execute(container, health)[0] == 0
    except docker.errors.APIError:  # between the end and the start
        return False


def events(container: Container, name: str) -> list[dict[str, str]]:
    lines = container.logs(stderr=False).decode().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line["event"] == name]


def alerts(container: Container) -> list[dict[str, str]]:
    """The alerts of the watchdog."""
    found = events(container, "alert")
    return [alert for alert in found if alert["what"] == "the server does not answer"]


def test_no_restart_if_it_would_not_help(servers: Hanging) -> None:
    # Both were watched while the others hung. An unanswered query changes nothing.
    _, answer = execute(servers.stranded, ["drill", "-R", "@127.0.0.1", "mx.acme.example", "A"])
    assert "NOERROR" not in answer
    for container, health in (
        (servers.stranded, HEALTH["resolver"]),
        (servers.empty, HEALTH["policy"]),
    ):
        assert execute(container, health)[0] == 0
        assert restarts(container) == 0
        assert alerts(container) == []


@pytest.mark.parametrize("name", ["resolver", "policy"])
def test_nothing_is_left_behind(servers: Hanging, name: str) -> None:
    """Neither zombies nor running checks."""
    script = "for p in /proc/[0-9]*; do read -r _ _ s _ <$p/stat && echo $s; done 2>/dev/null"
    _, states = execute(getattr(servers, name), ["sh", "-c", script])
    assert "Z" not in states.split()
    # Server, watchdog twice, its pause or check (up to three processes), and this command.
    assert len(states.split()) <= 8


@pytest.mark.parametrize("name", ["resolver", "policy"])
def test_it_ends_at_sigterm_by_itself(servers: Hanging, name: str) -> None:
    container: Container = getattr(servers, name)
    container.stop(timeout=60)
    container.reload()
    # If the engine had killed it, it would be 137.
    assert container.attrs["State"]["ExitCode"] == 0
