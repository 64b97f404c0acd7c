"""Errors of a user or of the environment, with the real CLI: a clear message, and no damage.

The messages for config keys and partner fields are tested in tests/unit. These tests are for the
errors that only the CLI, the engine, the name server or the CA can report.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import files, plan
from tests.e2e.conftest import World
from tests.e2e.deployment import PulumiResult
from tests.e2e.old_engine import old_engine
from tests.e2e.smtp_session import Session
from tests.e2e.spare import DOMAIN, HOST, STACK, Config, Leftovers, Spare

pytestmark = pytest.mark.e2e

WRONG_KEY = """\
key "pulumi" { algorithm hmac-sha256; secret "bm90IHRoZSBzZWNyZXQgdGhhdCB0aGUgc2VydmVyIGhhcw=="; };
"""
BROKEN = {"tabs.yaml": "name: Tabs\n\tcontact: a@tabs.example\n", "empty.yaml": ""}
FORBIDDEN = "blocked.corp.example"
"""The CA refuses this name (lab/prepare.py)."""


def one_line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def untouched(spare: Spare) -> Iterator[None]:
    """Check that nothing is created, changed or published during the block."""
    before = spare.left()
    yield
    assert spare.left() == before


def test_all_problems_of_all_files_are_reported_at_once(spare: Spare, tmp_path: Path) -> None:
    partners = Path(shutil.copytree(files.LAB / "partners", tmp_path / "partners"))
    for name, text in BROKEN.items():
        (partners / name).write_text(text)
    with (partners / "good.yaml").open("a") as file:
        file.write("colour: blue\n")

    def change(config: Config) -> None:
        config["tlsgate:partners"] = str(partners)
        config["tlsgate:acme"]["kontact"] = "mailto:a@corp.example"
        config["tlsgate:internal"]["networks"] = ["10.0.0.0/33"]
        config["tlsgate:mtaSts"]["mode"] = "always"

    spare.configure(change)
    with untouched(spare):
        said = spare.deployment.up_with_preview()
    assert said.code != 0
    config = rf"Pulumi\.{STACK}\.yaml:\d+: tlsgate:"
    told = said.text.partition("Diagnostics:")[2]
    for problem in (
        config + r"acme\.kontact: is not a setting. Did you mean contact\?",
        config + r"internal\.networks\[0\]: '10\.0\.0\.0/33' does not appear to be an IPv4 or",
        config + r"mtaSts\.mode: 'always' is not one of enforce, testing, none\.",
        rf"{partners}/tabs\.yaml:2: is indented with a tab\. Indent with spaces\.",
        rf"{partners}/empty\.yaml: contains no record\. Write a record, or delete it\.",
        rf"{partners}/good\.yaml:\d+: colour: is not a key of the record\. Known keys: name,",
    ):
        assert re.search(problem, told), told
    assert "\n    6 problems." in told


def test_a_name_server_that_does_not_answer(spare: Spare) -> None:
    spare.configure(lambda config: config["tlsgate:dns"].update(server="127.0.0.1:2099"))
    with untouched(spare):
        said = spare.deployment.up_with_preview()
    assert said.code != 0
    assert "tlsgate:dns.server: 127.0.0.1:2099: Connection refused." in said.text
    assert "Check that the DNS server runs, and that TCP to it is let through" in said.text


def test_a_tsig_key_with_another_secret(spare: Spare, tmp_path: Path) -> None:
    file = tmp_path / "wrong.key"
    file.write_text(WRONG_KEY)
    spare.configure(lambda config: config["tlsgate:dns"].update(tsigKeyFile=str(file)))
    with untouched(spare):
        said = spare.deployment.up_with_preview()
    assert said.code != 0
    assert 'has another secret for the TSIG key "pulumi" (BADSIG)' in said.text
    assert "tlsgate:dns.tsigKeyFile: " in said.text
    assert "Copy the key from the DNS server again" in said.text
    assert "bm90IHRoZSBzZWNyZXQ" not in said.text


def test_no_docker_engine(spare: Spare, tmp_path: Path) -> None:
    spare.configure()
    nowhere = f"unix://{tmp_path}/docker.sock"
    with untouched(spare):
        said = spare.with_variables(DOCKER_HOST=nowhere).up_with_preview()
    assert said.code != 0
    assert f"DOCKER_HOST: no Docker engine answers at {nowhere}" in said.text
    assert "Start it, or set DOCKER_HOST to the address of one that runs" in said.text


def test_a_docker_engine_that_is_too_old(spare: Spare, tmp_path: Path) -> None:
    spare.configure()
    with untouched(spare), old_engine(tmp_path) as host:
        said = spare.with_variables(DOCKER_HOST=host).up_with_preview()
    assert said.code != 0
    assert f"DOCKER_HOST: the Docker engine at {host} is too old: version 17.06.2-ce" in said.text
    assert "speaks API 1.30, and 1.41 (Docker 20.10) or later is needed. Upgrade it" in said.text


@dataclass(frozen=True, slots=True)
class DeployAttempt:
    """One `up`, and what existed after it."""

    said: PulumiResult
    left: Leftovers

    @property
    def error(self) -> str:
        """Its output on one line."""
        return one_line(self.said.text)


@pytest.fixture(scope="module")
def attempts(world: World, spare: Spare) -> Mapping[str, DeployAttempt]:
    """Several `up` of one new stack, each with another error; the last one succeeds."""
    done = {}

    def attempt(name: str) -> None:
        done[name] = DeployAttempt(spare.deployment.up(), spare.left())

    spare.configure(lambda config: config["tlsgate:domains"].append(FORBIDDEN))
    attempt("refused")
    spare.configure()
    with without_ca(world):
        attempt("down")
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        spare.configure(lambda config: config["tlsgate:ports"].update(smtp=taken))
        attempt("port")
    spare.configure()
    attempt("right")
    return done


@contextmanager
def without_ca(world: World) -> Iterator[None]:
    """Disconnect the CA from the network during the block; it keeps running."""
    network = world.client.networks.get(plan.NETWORK)
    ca = plan.container_name("ca")
    network.disconnect(ca)
    try:
        yield
    finally:
        network.connect(ca, ipv4_address=plan.CA_ADDRESS)


def test_a_name_that_the_ca_refuses(attempts: Mapping[str, DeployAttempt]) -> None:
    attempt = attempts["refused"]
    assert attempt.said.code != 0
    assert "issuance is forbidden by policy" in attempt.error
    assert f"mta-sts.{FORBIDDEN} is a forbidden domain" in attempt.error
    assert "(urn:ietf:params:acme:error:rejectedIdentifier)" in attempt.error
    assert "correct the name, or use another CA" in attempt.error


def test_a_ca_that_is_down(attempts: Mapping[str, DeployAttempt]) -> None:
    attempt = attempts["down"]
    assert attempt.said.code != 0
    assert "the CA at https://ca.lab.example:14000/dir cannot be reached" in attempt.error
    assert "Check that the CA runs and that tlsgate:acme.directory is right" in attempt.error


def test_a_port_in_use(attempts: Mapping[str, DeployAttempt]) -> None:
    attempt = attempts["port"]
    assert attempt.said.code != 0
    assert "address already in use" in attempt.error


@pytest.mark.parametrize("name", ["refused", "down", "port"])
def test_no_mail_is_directed_to_an_incomplete_gateway(
    attempts: Mapping[str, DeployAttempt], name: str
) -> None:
    left = attempts[name].left
    assert not [line for line in left.records if " MX " in line or "_mta-sts" in line]
    assert f"tlsgate-{STACK}-gateway" not in left.containers or name == "port"


def test_the_next_up_continues(attempts: Mapping[str, DeployAttempt]) -> None:
    """It continues the previous one: nothing is created twice or remains of the wrong name."""
    right = attempts["right"]
    assert right.said.code == 0, right.said.text
    assert " MX " in " ".join(right.left.records)
    assert not [line for line in right.left.records if "blocked" in line]
    assert f"tlsgate-{STACK}-gateway" in right.left.containers
    made = attempts["refused"].left.resources
    assert made
    assert made <= right.left.resources
    assert "deleted" not in right.said.changes


def test_the_completed_gateway_accepts_mail(attempts: Mapping[str, DeployAttempt]) -> None:
    assert attempts["right"].said.code == 0
    session = Session(socket.create_connection(("127.0.0.1", 10125), 10))
    try:
        assert session.reply().text == f"220 {HOST} ESMTP"
        for command in ("EHLO a.example", "MAIL FROM:<a@stranger.example>"):
            assert session.ask(command).code == 250
        assert session.ask(f"RCPT TO:<a@{DOMAIN}>").code == 250
    finally:
        session.close()
