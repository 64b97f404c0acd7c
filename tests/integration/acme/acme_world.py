"""A real CA (Pebble) and a real DNS server (Knot) on a separate network, and an agent's volumes.

Pebble loses accounts, orders and its root when it is stopped; the tests use that.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import ssl
import tarfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from tests.unit.acme.acme_pki import Root
from tlsgate.acme.keys import new_key, to_pem

ROOT = Path(__file__).parents[3]
LABELS = {"tlsgate.dev": "acme-tests"}
BASE = os.environ.get("TLSGATE_BASE_IMAGE", "debian:trixie-slim")
AGENT_IMAGE, KNOT_IMAGE = "tg-acme-test-agent", "tg-acme-test-knot"
BLOCKED = "blocked.corp.example"
EAB_KEY_ID = "kid-1"
EAB_KEY = base64.urlsafe_b64encode(b"an external account's MAC key...").decode().rstrip("=")
AGENT_TSIG = base64.b64encode(b"the agent's TSIG secret, 32 byte").decode()
ZONES = ("corp.example", "brand.example")
_KNOT = f"""
FROM {BASE}
RUN apt-get update \\
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends knot \\
    && rm -rf /var/lib/apt/lists/*
"""


def agent_image(client: docker.DockerClient) -> str:
    """Builds the agent's image from this tree; pip trusts what this machine trusts."""
    extra = os.environ.get("PIP_CERT")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for folder in ("tlsgate", "images/agent"):
            for path in sorted((ROOT / folder).rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    tar.add(path, path.relative_to(ROOT).as_posix(), filter=_plain)
        bundle = Path(extra) if extra else ROOT / "images/no-extra-ca.crt"
        tar.add(bundle.resolve(), "images/extra-ca.crt", filter=_plain)
    context.seek(0)
    client.images.build(
        fileobj=context,
        custom_context=True,
        dockerfile="images/agent/Dockerfile",
        tag=AGENT_IMAGE,
        buildargs={"BASE_IMAGE": BASE, "EXTRA_CA_FILE": "images/extra-ca.crt"},
        labels=LABELS,
        rm=True,
        forcerm=True,
    )
    return AGENT_IMAGE


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Normalise owner, mode and time, so that the build cache works in every checkout."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member


def wait_for(check: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} within {seconds} s")
        time.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Volumes:
    """The agent's volumes as folders of this machine."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def state(self) -> Path:
        return self.root / "acme"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def challenge(self) -> Path:
        return self.root / "challenge"


class World:
    """Pebble and Knot, until `close`."""

    def __init__(self, client: docker.DockerClient, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self._made: list[Container] = []
        pebble = shutil.which("pebble")
        if pebble is None:
            pytest.fail("pebble is not on PATH: run the project's set-up first")
        self._pebble_binary = Path(pebble)
        self.network = self._network()
        subnet = self.network.attrs["IPAM"]["Config"][0]["Subnet"]
        prefix = subnet.rpartition(".")[0]
        (
            self.dns_address,
            self.ca_address,
            self.web_address,
            self.eab_address,
            self.second_address,
        ) = (f"{prefix}.{last}" for last in (10, 11, 12, 13, 14))
        self.https = Root("the CA's own HTTPS")
        (folder / "ca-https.pem").write_bytes(self.https.pem)
        self.dns = self._start_dns()
        self.ca = self._start_ca("ca", self.ca_address, eab=False)

    @property
    def directory(self) -> str:
        """The CA's directory URL."""
        return f"https://{self.ca_address}:14000/dir"

    def close(self) -> None:
        """Removes everything that was created."""
        for container in self._made:
            container.remove(force=True, v=True)
        self.network.remove()

    def container(self, name: str, image: str, address: str | None, **options: Any) -> Container:
        """Created, connected, started, and removed at the end."""
        made = self._client.containers.create(
            image,
            name=f"{self.network.name}-{name}-{uuid.uuid4().hex[:6]}",
            labels=LABELS,
            network_mode="none",
            **options,
        )
        self._made.append(made)
        self._client.networks.get("none").disconnect(made)
        self.network.connect(made, ipv4_address=address)
        made.start()
        return made

    def remove(self, container: Container) -> None:
        """Remove it before the end."""
        self._made.remove(container)
        container.remove(force=True, v=True)

    def volumes(self, name: str) -> Volumes:
        """Empty volumes with the secrets in place, for the agent's user or for root."""
        volumes = Volumes(self._folder / name)
        for folder in (volumes.config, volumes.state, volumes.challenge):
            folder.mkdir(parents=True)
        for volume in ("mx", "policy"):
            (volumes.keys / volume).mkdir(parents=True)
        tsig = f'key "agent" {{ algorithm hmac-sha256; secret "{AGENT_TSIG}"; }};\n'
        (volumes.config / "agent.tsig").write_text(tsig)
        (volumes.config / "eab.key").write_text(EAB_KEY)
        (volumes.config / "acme-ca.pem").write_bytes(self.https.pem)
        (volumes.config / "extra-ca.pem").write_text(self.roots())
        return volumes

    def roots(self, address: str | None = None) -> str:
        """The CA's present root."""
        context = ssl.create_default_context(cadata=self.https.pem.decode())
        url = f"https://{address or self.ca_address}:15000/roots/0"
        with urllib.request.urlopen(url, context=context, timeout=5) as answer:
            return str(answer.read().decode())

    def start_ca_with_eab(self) -> str:
        """A second CA, which demands an external account; its directory's URL."""
        self._start_ca("eab-ca", self.eab_address, eab=True)
        return f"https://{self.eab_address}:14000/dir"

    @contextmanager
    def second_ca(self, **environment: str) -> Iterator[str]:
        """Another CA with Pebble's variables, at `second_address`; its directory's URL."""
        name = f"second-{uuid.uuid4().hex[:6]}"
        made = self._start_ca(name, self.second_address, eab=False, **environment)
        try:
            yield f"https://{self.second_address}:14000/dir"
        finally:
            self.remove(made)

    def set_renewal_info(self, chain: bytes, content: str) -> None:
        """Set the CA's renewal information for the chain's leaf."""
        leaf = x509.load_pem_x509_certificates(chain)[0]
        pem = leaf.public_bytes(serialization.Encoding.PEM).decode()
        answer = requests.post(
            f"https://{self.ca_address}:15000/set-renewal-info/",
            json={"Certificate": pem, "ARIResponse": content},
            verify=str(self._folder / "ca-https.pem"),
            timeout=5,
        )
        answer.raise_for_status()

    def start_web(self, challenge: Path) -> None:
        """Serve the challenge volume on port 80, like the policy host."""
        self.container(
            "web",
            AGENT_IMAGE,
            self.web_address,
            entrypoint=["python3", "-m", "http.server", "--directory", "/challenge", "80"],
            sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
            volumes={str(challenge): {"bind": "/challenge", "mode": "ro"}},
        )

        def ready() -> bool:
            try:
                return requests.get(f"http://{self.web_address}/", timeout=5).ok
            except OSError:
                return False

        wait_for(ready, "the web server answers")

    def restart_ca(self) -> None:
        """Start the CA after `self.ca.stop()`: it has lost everything and has another root."""
        self.ca.start()
        self._wait_for_ca(self.ca, self.ca_address)

    def _wait_for_ca(self, container: Container, address: str) -> None:
        def ready() -> bool:
            try:
                return bool(self.roots(address))
            except OSError:
                container.reload()
                if container.status == "exited":
                    raise AssertionError(container.logs().decode()) from None
                return False

        wait_for(ready, "the CA answers")

    def _network(self) -> Network:
        # A first, unused network gives a free subnet: fixed addresses need a configured one.
        name = f"tg-acme-{uuid.uuid4().hex[:8]}"
        probe = self._client.networks.create(f"{name}-probe", labels=LABELS)
        probe.reload()
        subnet = probe.attrs["IPAM"]["Config"][0]["Subnet"]
        probe.remove()
        pool = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
        made = self._client.networks.create(name, labels=LABELS, ipam=pool)
        made.reload()
        return made

    def _start_dns(self) -> Container:
        self._client.images.build(
            fileobj=io.BytesIO(_KNOT.encode()), tag=KNOT_IMAGE, labels=LABELS, rm=True
        )
        folder = self._folder / "knot"
        folder.mkdir()
        (folder / "knot.conf").write_text(_knot_conf(AGENT_TSIG))
        for zone in ZONES:
            lines = [
                f"$ORIGIN {zone}.",
                "$TTL 60",
                "@ SOA ns host 1 3600 600 86400 1",
                "@ NS ns",
                f"ns A {self.dns_address}",
                f"mta-sts A {self.web_address}",
            ]
            (folder / f"{zone}.zone").write_text("".join(f"{line}\n" for line in lines))
        return self.container(
            "dns",
            KNOT_IMAGE,
            self.dns_address,
            command=["sh", "-c", "cp /zones/* /storage && exec knotd -c /zones/knot.conf"],
            tmpfs={"/storage": "", "/run/knot": ""},
            volumes={str(folder): {"bind": "/zones", "mode": "ro"}},
        )

    def _start_ca(self, name: str, address: str, *, eab: bool, **environment: str) -> Container:
        folder = self._folder / name
        folder.mkdir()
        key = new_key()
        now = datetime.now(UTC)
        (folder / "key.pem").write_bytes(to_pem(key))
        (folder / "cert.pem").write_bytes(self.https.sign([address], key, start=-1, now=now))
        (folder / "pebble.json").write_text(json.dumps(_pebble(eab=eab)))
        container = self.container(
            name,
            BASE,
            address,
            command=[
                "/usr/local/bin/pebble",
                *("-config", "/config/pebble.json", "-strict"),
                *("-dnsserver", f"{self.dns_address}:53"),
            ],
            environment={
                "PEBBLE_VA_NOSLEEP": "1",
                "PEBBLE_WFE_NONCEREJECT": "20",
                **environment,
            },
            volumes={
                str(folder): {"bind": "/config", "mode": "ro"},
                str(self._pebble_binary): {"bind": "/usr/local/bin/pebble", "mode": "ro"},
            },
        )
        self._wait_for_ca(container, address)
        return container


def _pebble(*, eab: bool) -> dict[str, object]:
    return {
        "pebble": {
            "listenAddress": "0.0.0.0:14000",
            "managementListenAddress": "0.0.0.0:15000",
            "certificate": "/config/cert.pem",
            "privateKey": "/config/key.pem",
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": eab,
            "externalAccountMACKeys": {EAB_KEY_ID: EAB_KEY},
            "domainBlocklist": [BLOCKED],
            "retryAfter": {"authz": 1, "order": 1},
            "profiles": {
                "default": {"description": "90 days", "validityPeriod": 90 * 86400},
                "shortlived": {"description": "160 hours", "validityPeriod": 160 * 3600},
            },
        }
    }


def _knot_conf(secret: str) -> str:
    zones = "".join(
        f"  - domain: {zone}\n    file: /storage/{zone}.zone\n    acl: agent\n" for zone in ZONES
    )
    return f"""
server:
    listen: 0.0.0.0@53
database:
    storage: /storage
key:
  - id: agent
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: agent
    key: agent
    action: update
    update-type: [TXT, TLSA]
zone:
{zones}"""
