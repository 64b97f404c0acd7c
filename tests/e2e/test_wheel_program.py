"""The README's program, from the wheel alone, deployed into the lab beside the demo's gateway.

Only what the program takes from the public Internet is replaced: domain, addresses, CA, DNS, ports.
"""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator

import docker
import pytest

from lab import files, plan
from tests.e2e import records
from tests.e2e.conftest import World
from tests.support.wheel import Project, install, readme_program

pytestmark = pytest.mark.e2e

ZONE = "corp.example"
DOMAIN = f"wheel.{ZONE}"
HOST = f"mx1.{DOMAIN}"
STACK = "test-wheel"
LABEL = f"tlsgate.stack={STACK}-mail"
PORT = 10225
SUBNET = plan.DYNAMIC_RANGE
"""The resolver answers only its subnet, and Docker places the jobs here."""
GATEWAY, POLICY_HOST = "172.31.26.195", "172.31.26.196"
MAIL = 'mail = tg.MailGateway("mail", args)'
INTO_THE_LAB = f"""
from dataclasses import replace
lab = {str(files.REPOSITORY / "lab/.state")!r}
args = replace(
    args,
    domains=[{DOMAIN!r}],
    gateways=[tg.GatewayHostArgs(name={HOST!r}, addresses=[{GATEWAY!r}])],
    internal=tg.InternalArgs(server="mail.lab.example:25", tls="secure", recipients="any"),
    mta_sts=tg.MtaStsArgs(addresses=[{POLICY_HOST!r}]),
    acme=tg.AcmeArgs(
        directory="https://ca.lab.example:14000/dir", ca_file=f"{{lab}}/pki/pebble-ca.pem"
    ),
    dns=tg.DnsArgs(
        server="127.0.0.1:2053",
        agent_server="{plan.DNS_ADDRESS}:53",
        zones=[{ZONE!r}],
        tsig_key_file=f"{{lab}}/dns/pulumi.key",
        agent_tsig_key_file=f"{{lab}}/dns/agent.key",
        ttl=60,
    ),
    agent=tg.AgentArgs(tlsa_ttl=5),
    ports=tg.PortsArgs(smtp="127.0.0.1:{PORT}", https="none"),
    extra_ca_file=f"{{lab}}/pki/public-roots.pem",
    resolver=tg.ResolverArgs(
        stub_zones={{"example": [{plan.DNS_ADDRESS!r}], {ZONE!r}: [{plan.DNS_ADDRESS!r}]}},
        trust_anchor_file=f"{{lab}}/dns/trust-anchors",
        probe="example",
    ),
    network=tg.NetworkArgs(existing={plan.NETWORK!r}, subnet={SUBNET!r}),
)
"""
BESIDE = 'name="mail"'
LABELLED = f'name="tlsgate-{STACK}", labels=[{{"label": "tlsgate.stack", "value": "{STACK}"}}]'


def program() -> str:
    text = readme_program()
    for part in (MAIL, BESIDE):
        assert text.count(part) == 1, part
    return text.replace(BESIDE, LABELLED).replace(MAIL, f"{INTO_THE_LAB}{MAIL}")


@pytest.fixture(scope="module")
def deployed(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    installed = install(tmp_path_factory.mktemp("wheel"))
    project = Project.new(tmp_path_factory.mktemp("mine"), installed, program())
    remove(world.client)
    project.pulumi("stack", "init", STACK)
    try:
        project.pulumi("up", "--yes", "--skip-preview")
        yield project
    finally:
        project.pulumi("destroy", "--yes", "--skip-preview")
        remove(world.client)


def remove(client: docker.DockerClient) -> None:
    """What destroy keeps, and what an interrupted run left."""
    for label in (LABEL, f"tlsgate.stack={STACK}"):
        selected: dict[str, str | list[str] | bool] = {"label": label}
        for container in client.containers.list(all=True, filters=selected):
            container.remove(force=True, v=True)
        for volume in client.volumes.list(filters=selected):
            volume.remove()
        for network in client.networks.list(filters=selected):
            network.remove()
    names = {line.partition(" ")[0] for line in records.zone_lines(ZONE)}
    records.remove(ZONE, {name for name in names if f".{name}".endswith(".wheel")})


def test_it_greets_with_its_own_name_and_a_certificate_of_the_ca(deployed: Project) -> None:
    with smtplib.SMTP("127.0.0.1", PORT, timeout=20) as client:
        client.ehlo("client.example")
        assert client.ehlo_resp is not None
        assert client.ehlo_resp.decode().startswith(HOST)
        assert client.has_extn("starttls")
    (output,) = json.loads(deployed.pulumi("stack", "output", "--json")).values()
    assert f"{DOMAIN}. 60 IN MX 10 {HOST}." in output
    assert any(line.startswith("_25._tcp.mx1.wheel ") for line in records.zone_lines(ZONE))


def test_a_second_up_changes_nothing(deployed: Project) -> None:
    planned = json.loads(deployed.pulumi("preview", "--json"))
    assert {step["op"] for step in planned["steps"]} == {"same"}


def test_the_demos_gateway_beside_it_is_another(deployed: Project, world: World) -> None:
    selected: dict[str, str | list[str] | bool] = {"label": LABEL}
    ours = {str(one.name) for one in world.client.containers.list(filters=selected)}
    assert len(ours) == 6
    assert all(name.startswith(f"tlsgate-{STACK}-mail-") for name in ours)
