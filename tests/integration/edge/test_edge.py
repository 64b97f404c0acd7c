"""Resolver, policy host and policy helper together, hardened as in production."""

from __future__ import annotations

import http.client
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.integration.edge.edge_lab import (
    IMAGES,
    build,
    certificate,
    execute,
    network,
    start,
    until_healthy,
)
from tests.integration.edge.signed_zone import sign
from tests.unit.policy.partner_list import partner, until_last_day
from tlsgate.partners.model import Allow, Direction, Inbound, Require
from tlsgate.render.mta_sts import PolicySettings, policy_text
from tlsgate.render.partner_maps import compile_partners
from tlsgate.render.policy_host import HSTS_SECONDS, PolicyHostSettings, render_policy_host
from tlsgate.render.unbound import ResolverSettings, render_unbound

pytestmark = pytest.mark.integration

POLICY = PolicySettings("enforce", 86400, ("mx.sts.example", "*.sts.example"))
DOMAINS = ("sts.example", "mixed.example")
RULES = compile_partners(
    [
        partner(
            "acme.example",
            until_last_day(Direction.OUTBOUND, Allow.ENCRYPTED, date(2099, 12, 30)),
            inbound=Inbound(Require.NETWORK, networks=("192.0.2.0/24",)),
            subdomains=True,
        ),
        partner("absent.example", observe=True),
    ]
).rules
AUTHORITY = """\
server:
    username: ""
    chroot: ""
    pidfile: ""
    use-syslog: no
    interface: 0.0.0.0
    access-control: 0.0.0.0/0 allow
    module-config: "iterator"
auth-zone:
    name: "example."
    zonefile: "/config/example.zone"
    for-upstream: no
"""
POLICY_HEALTH = ["python3", "-m", "tlsgate.policy", "health"]


@dataclass(frozen=True, slots=True)
class Edge:
    """Addresses and containers."""

    ca: str
    resolver: Container
    policy: Container
    policy_host: Container
    addresses: dict[str, str]


def folder(path: Path, files: dict[str, str], mode: int = 0o755) -> Path:
    """A folder that the containers' user may read."""
    path.mkdir(parents=True)
    path.chmod(mode)
    for name, text in files.items():
        target = path / name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text, newline="")
    return path


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    made = docker.from_env(timeout=120)
    yield made
    made.close()


@pytest.fixture(scope="module")
def images(client: docker.DockerClient) -> dict[str, str]:
    return {name: build(client, name) for name in IMAGES}


@pytest.fixture(scope="module")
def edge(
    client: docker.DockerClient, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    root = tmp_path_factory.mktemp("edge")
    containers: list[Container] = []
    with network(client) as net:
        subnet = net.attrs["IPAM"]["Config"][0]["Subnet"]
        hosts = ipaddress.ip_network(subnet)
        at = {
            name: str(hosts[number])
            for number, name in enumerate(("dns", "resolver", "host", "policy"), start=10)
        }
        ca, pem = certificate([f"mta-sts.{domain}" for domain in DOMAINS])
        zone = sign(at["host"])
        resolver_conf = render_unbound(
            ResolverSettings({"example": (at["dns"],)}, zone.anchor, (subnet,))
        )
        staged = render_policy_host(PolicyHostSettings(DOMAINS, POLICY))
        dns = folder(root / "dns", {"unbound.conf": AUTHORITY, "example.zone": zone.text})
        run = folder(
            root / "run",
            {f"active/{name}": text for name, text in staged.items()}
            | {"https.conf": staged["https.conf"], "tls/policy-1.pem": pem},
            0o777,
        )
        challenge = folder(root / "challenge", {})
        folder(challenge / ".well-known/acme-challenge", {"token": "token.thumbprint"})
        config = folder(root / "config", {})
        folder(
            config / "generations/1",
            {"partner_rules.json": RULES.to_json(), "extra-ca.pem": ca},
        )
        (config / "current").symlink_to("generations/1")
        try:
            for image, name, mounts, options in (
                ("resolver", "dns", {"/config": (dns, "ro")}, {}),
                (
                    "resolver",
                    "resolver",
                    {"/config": (folder(root / "res", {"unbound.conf": resolver_conf}), "ro")},
                    {},
                ),
                (
                    "policy-host",
                    "host",
                    {"/run/tlsgate": (run, "rw"), "/challenge": (challenge, "ro")},
                    {"entrypoint": ["nginx", "-c", "/run/tlsgate/active/nginx.conf"]},
                ),
                (
                    "policy",
                    "policy",
                    {
                        "/config": (config, "ro"),
                        "/state": (folder(root / "state", {}, 0o777), "rw"),
                    },
                    {"environment": {"TLSGATE_RESOLVER": at["resolver"]}},
                ),
            ):
                containers.append(start(client, images[image], net, at[name], mounts, **options))
            until_healthy(containers[0], ["resolver-health"])
            until_healthy(containers[1], ["resolver-health"])
            until_healthy(containers[3], POLICY_HEALTH)
            yield Edge(ca, containers[1], containers[3], containers[2], at)
        finally:
            for container in containers:
                container.remove(force=True)


def socketmap(edge: Edge, domain: str, name: str = "QUERY") -> str:
    request = f"{name} {domain}".encode()
    with socket.create_connection((edge.addresses["policy"], 8461), 30) as connection:
        connection.sendall(b"%d:%s," % (len(request), request))
        reply = b""
        while not reply.endswith(b","):
            reply += connection.recv(4096)
    return reply.partition(b":")[2].removesuffix(b",").decode()


@pytest.mark.parametrize(
    ("domain", "answer"),
    [
        ("none.example", "NOTFOUND "),
        ("absent.example", "NOTFOUND "),
        ("dane.example", "NOTFOUND "),
        ("mixed.example", "OK dane-only"),
        ("bogus.example", "TEMP look-up failed: MX of bogus.example: NoNameservers"),
    ],
)
def test_outbound_answers(edge: Edge, domain: str, answer: str) -> None:
    assert socketmap(edge, domain) == answer


def test_policy_is_fetched_from_the_policy_host(edge: Edge) -> None:
    answer = socketmap(edge, "sts.example")
    assert answer.startswith("OK secure match="), edge.policy.logs().decode()
    assert set(answer.split()[2].removeprefix("match=").split(":")) == {
        "mx.sts.example",
        ".sts.example",
    }
    assert " policy_type=sts policy_domain=sts.example mx_host_pattern=mx.sts.example" in answer


def get(edge: Edge, path: str, host: str = "mta-sts.sts.example") -> http.client.HTTPResponse:
    context = ssl.create_default_context(cadata=edge.ca)
    raw = socket.create_connection((edge.addresses["host"], 443), 10)
    connection = http.client.HTTPSConnection(host, timeout=10)
    connection.sock = context.wrap_socket(raw, server_hostname=host)
    connection.request("GET", path, headers={"Connection": "close"})
    return connection.getresponse()


@pytest.mark.parametrize("domain", DOMAINS)
def test_policy_host_serves_the_policy(edge: Edge, domain: str) -> None:
    response = get(edge, "/.well-known/mta-sts.txt", f"mta-sts.{domain}")
    assert response.status == 200
    assert response.getheader("Content-Type") == "text/plain"
    assert response.getheader("Server") == "nginx"
    assert response.getheader("Strict-Transport-Security") == f"max-age={HSTS_SECONDS}"
    assert response.read().decode() == policy_text(POLICY)


@pytest.mark.parametrize("path", ["/", "/.well-known/", "/.well-known/mta-sts.txt/x", "/token"])
def test_policy_host_serves_nothing_else(edge: Edge, path: str) -> None:
    response = get(edge, path)
    assert response.status == 404
    assert response.getheader("Location") is None
    assert response.getheader("Server") == "nginx"
    assert response.getheader("Strict-Transport-Security") == f"max-age={HSTS_SECONDS}"


def test_policy_host_refuses_other_names(edge: Edge) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        get(edge, "/", "other.example")


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/.well-known/acme-challenge/token", 200, "token.thumbprint"),
        ("/.well-known/acme-challenge/other", 404, None),
        ("/.well-known/acme-challenge/../../run/tlsgate/tls/policy-1.pem", 404, None),
        ("/.well-known/acme-challenge/..%2f..%2f..%2frun/tlsgate/tls/policy-1.pem", 400, None),
        ("/.well-known/mta-sts.txt", 404, None),
        ("/", 404, None),
    ],
)
def test_port_80_answers_challenges_only(
    edge: Edge, path: str, status: int, body: str | None
) -> None:
    connection = http.client.HTTPConnection(edge.addresses["host"], 80, timeout=10)
    connection.request("GET", path, headers={"Host": "mta-sts.sts.example"})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == status
    assert body is None or text == body


@pytest.mark.parametrize(
    ("client_address", "protocol", "action"),
    [
        ("192.0.2.9", "TLSv1.3", "DUNNO"),
        ("192.0.3.9", "TLSv1.3", "450 4.7.1 Acme requires a client in its registered networks"),
        ("192.0.2.9", "", "450 4.7.1 Acme requires TLS"),
    ],
)
def test_inbound_answers(edge: Edge, client_address: str, protocol: str, action: str) -> None:
    context = f"enforce-{RULES.digest}"
    assert delegate(edge, "acme.example", client_address, protocol, context) == action
    older = delegate(edge, "acme.example", client_address, protocol, f"enforce-{'0' * 16}")
    assert older.startswith("450 4.3.0 ")


def delegate(
    edge: Edge,
    sender: str,
    client_address: str,
    protocol: str,
    context: str,
    *,
    recipient: str = "corp.example",
) -> str:
    request = (
        f"request=smtpd_access_policy\nsender=a@{sender}\nrecipient=b@{recipient}\n"
        f"client_address={client_address}\nencryption_protocol={protocol}\n"
        f"policy_context={context}\n\n"
    )
    with socket.create_connection((edge.addresses["policy"], 10040), 10) as connection:
        connection.sendall(request.encode())
        return connection.recv(4096).decode().removeprefix("action=").removesuffix("\n\n")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("acme.example", "OK encrypt"),
        ("a.acme.example", "OK encrypt"),
        ("none.example", "NOTFOUND "),
    ],
)
def test_partner_answers(edge: Edge, name: str, answer: str) -> None:
    assert socketmap(edge, name, f"partners-{RULES.digest}") == answer
    assert socketmap(edge, name, f"partners-{'0' * 16}").startswith("TEMP ")


def test_observed_mail_is_tested_and_counted(edge: Edge) -> None:
    context = f"observe-outbound-{RULES.digest}"
    for _ in range(2):
        answer = delegate(
            edge, "corp.example", "192.0.2.1", "", context, recipient="absent.example"
        )
        assert answer == "DUNNO"

    def counted() -> dict[str, Any]:
        code, output = execute(edge.policy, ["python3", "-m", "tlsgate.policy", "observations"])
        assert code == 0, output
        return dict(json.loads(output).get("Absent", {}).get("outbound", {}))

    deadline = time.monotonic() + 20
    while counted().get("messages", 0) < 2:
        assert time.monotonic() < deadline, edge.policy.logs().decode()
        time.sleep(0.5)
    assert counted()["would_hold"] == {"no-server": 2}
    edge.policy.restart(timeout=10)
    until_healthy(edge.policy, POLICY_HEALTH)
    assert counted()["messages"] == 2


def test_every_container_runs_without_privileges(edge: Edge) -> None:
    for container in (edge.resolver, edge.policy, edge.policy_host):
        _, output = execute(container, ["cat", "/proc/1/status"])
        lines = (line.partition(":") for line in output.splitlines())
        status = {name: value.strip() for name, _, value in lines}
        assert status["Uid"].split() == ["10001"] * 4
        assert status["NoNewPrivs"] == "1"
        assert {status[f"Cap{kind}"] for kind in ("Prm", "Eff", "Bnd")} == {"0" * 16}


def test_policy_host_without_a_generation_exits_with_a_reason(
    client: docker.DockerClient, images: dict[str, str]
) -> None:
    container = client.containers.run(
        images["policy-host"],
        detach=True,
        read_only=True,
        network_mode="none",
        tmpfs={"/run/tlsgate": "uid=10001,mode=0700", "/tmp": ""},  # noqa: S108
        labels={"tlsgate.dev": "edge"},
    )
    try:
        assert container.wait(timeout=30)["StatusCode"] == 1
        assert b"no generation to serve" in container.logs()
    finally:
        container.remove(force=True)


def test_resolver_down_is_temporary_and_ends(edge: Edge) -> None:
    edge.resolver.stop(timeout=5)
    try:
        answer = socketmap(edge, "late.example")
        assert re.match(r"TEMP look-up(s for| failed: MX of) late\.example", answer), answer
        until_healthy(edge.policy, POLICY_HEALTH)
    finally:
        edge.resolver.start()
        until_healthy(edge.resolver, ["resolver-health"])
    assert socketmap(edge, "late.example") == "NOTFOUND "
