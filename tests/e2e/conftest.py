"""Starts the lab and the gateway with the demo's functions; they keep running afterwards.

The report of a failed test contains the ends of the logs that can explain the failure.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import docker
import pytest
from docker.errors import DockerException

from lab import plan
from lab.bring_up import bring_up, engine
from lab.commands import GATEWAY, up
from lab.driver import Lab
from lab.endpoints import gateway_container
from tests.e2e.spare import Spare, spare_stack

LOG_LINES = 25
GATEWAY_ROLES = ("gateway", "policy", "resolver", "agent", "notices")


@dataclass(frozen=True, slots=True)
class World:
    """What the tests use: the Docker engine and the lab, with the gateway of stack `demo`."""

    client: docker.DockerClient
    lab: Lab

    def log(self, container: str, since: float = 1.0) -> str:
        """The log of a container since a time in seconds since 1970."""
        log = self.client.containers.get(container).logs(since=int(since))
        return log.decode(errors="replace") if isinstance(log, bytes) else ""

    def execute(self, container: str, *command: str) -> str:
        """Run a command in a container; fail if it fails; return its output."""
        code, output = self.client.containers.get(container).exec_run(list(command))
        text = output.decode(errors="replace") if isinstance(output, bytes) else ""
        assert code == 0, f"{container}: {' '.join(command)}: {text}"
        return text


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    client = engine()
    try:
        bring_up(client)
        up(GATEWAY, client)
        lab = Lab(client)
        lab.delete_leftover_mail()
        yield World(client, lab)
    finally:
        client.close()


@pytest.fixture(scope="session")
def lab(world: World) -> Lab:
    return world.lab


@pytest.fixture(scope="session")
def spare(world: World) -> Iterator[Spare]:
    with spare_stack(world.client) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += log_tails(concerned(item))
    return report


def concerned(item: pytest.Item) -> list[str]:
    """The containers whose logs can explain a failure: the gateway's and those of the peers used.

    A test's peers are those in its parameters and those in its module's `PEERS`.
    """
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    found = [getattr(value, name, None) for value in parameters for name in ("peer", "via")]
    module = getattr(item, "module", None)
    roles = {*(one for one in found if one), *getattr(module, "PEERS", ())}
    return [
        *(gateway_container(role) for role in GATEWAY_ROLES),
        *(plan.container_name(role) for role in sorted(roles)),
    ]


def log_tails(names: list[str]) -> list[tuple[str, str]]:
    """One section of the report for each container."""
    sections = []
    try:
        client = docker.from_env(timeout=20)
    except DockerException as error:
        return [("logs", f"no Docker engine answers: {error}")]
    try:
        for name in names:
            try:
                log = client.containers.get(name).logs(tail=LOG_LINES)
                text = log.decode(errors="replace")
            except DockerException as error:
                text = str(error)
            sections.append((f"end of the log of {name}", text))
    finally:
        client.close()
    return sections
