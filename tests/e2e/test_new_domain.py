"""A new domain in the config: one `up` replaces the policy host's certificate without interruption.

The old certificate is served until the new one is ready.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.bring_up import ROOTS
from lab.rotation import status
from tests.e2e.conftest import World
from tests.e2e.deployment import Deployment, PulumiResult, demo_config, write_config
from tests.e2e.smtp_session import endpoint

pytestmark = pytest.mark.e2e

OLD = "mta-sts.corp.example"
NEW = "mta-sts.new.corp.example"
HTTPS = "policy_https"


@dataclass
class Change:
    """The output of `up`, and what a client of the old name received meanwhile."""

    said: PulumiResult
    before: str
    after: str
    looks: int = 0
    faults: list[str] = field(default_factory=list)


def served(name: str) -> str:
    """The serial number that a verifying client gets for the name. Raises OSError."""
    context = ssl.create_default_context(cafile=str(ROOTS))
    with (
        socket.create_connection(endpoint(HTTPS), 10) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        certificate = tls.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


@pytest.fixture(scope="module")
def change(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Change]:
    folder = tmp_path_factory.mktemp("domain")
    config = demo_config()
    config["config"]["tlsgate:domains"] = [*config["config"]["tlsgate:domains"], NEW[8:]]
    file = write_config(folder / "Pulumi.demo.yaml", config)
    found = Change(PulumiResult(1, ""), served(OLD), "")
    end = threading.Event()

    def look() -> None:
        while not end.wait(0.1):
            found.looks += 1
            try:
                served(OLD)
            except OSError as fault:
                found.faults.append(f"{time.time():.1f}: {fault!r}")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        found.said = with_config(file).up()
        found.after = served(OLD)
        end.set()
        thread.join()
        yield found
    finally:
        end.set()
        thread.join()
        restored = with_config(write_config(file, demo_config())).up()
        assert restored.code == 0, restored.text


def with_config(file: Path) -> Deployment:
    return Deployment(options=("--config-file", str(file)))


def test_the_new_name_is_served(change: Change) -> None:
    assert change.said.code == 0, change.said.text
    assert change.after != change.before
    assert served(NEW) == change.after
    assert NEW in status("policy-1")["served"]["names"]


def test_the_old_name_was_served_all_the_time(change: Change) -> None:
    assert change.looks > 20
    assert change.faults == []
