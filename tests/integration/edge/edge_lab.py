"""Starts the edge's containers on a separate network, hardened as in production."""

from __future__ import annotations

import io
import os
import tarfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

REPOSITORY = Path(__file__).parents[3]
LABELS = {"tlsgate.dev": "edge"}
WATCHDOG = "images/watchdog"
IMAGES = ("resolver", "policy", "policy-host")


def build(client: docker.DockerClient, name: str) -> str:
    """Builds one image from what its Dockerfile copies; returns its id."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for folder in ("tlsgate", f"images/{name}"):
            for path in sorted((REPOSITORY / folder).rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    tar.add(path, path.relative_to(REPOSITORY).as_posix(), filter=_plain)
        tar.add(REPOSITORY / WATCHDOG, WATCHDOG, filter=_plain)
        tar.addfile(_directory("tlsgate/generation"))
    context.seek(0)
    image, _ = client.images.build(
        fileobj=context,
        custom_context=True,
        dockerfile=f"images/{name}/Dockerfile",
        tag=f"tg-edge-test-{name}",
        buildargs={"BASE_IMAGE": os.environ.get("TLSGATE_BASE_IMAGE", "debian:trixie-slim")},
        labels=LABELS,
        rm=True,
        forcerm=True,
    )
    return str(image.id)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Normalise owner, mode and time, so that the build cache works in every checkout."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member


def _directory(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member


@contextmanager
def network(client: docker.DockerClient) -> Iterator[Network]:
    """A bridge whose addresses the engine chooses: it cannot conflict with a running lab."""
    name = f"tg-edge-{uuid.uuid4().hex[:8]}"
    # A first, unused network gives a free subnet: fixed addresses need a configured one.
    probe = client.networks.create(f"{name}-probe", labels=LABELS)
    probe.reload()
    subnet = probe.attrs["IPAM"]["Config"][0]["Subnet"]
    probe.remove()
    made = client.networks.create(
        name, labels=LABELS, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
    )
    made.reload()
    try:
        yield made
    finally:
        made.remove()


def start(
    client: docker.DockerClient,
    image: str,
    net: Network,
    address: str,
    volumes: Mapping[str, tuple[Path, str]],
    **options: Any,
) -> Container:
    """A container as the components run it; `volumes`: target → (folder, "ro" or "rw")."""
    container = client.containers.create(
        image,
        name=f"{net.name}-{address.rpartition('.')[2]}",
        labels=LABELS,
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        mem_limit="256m",
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        tmpfs={"/tmp": ""},  # noqa: S108  # the container's own
        volumes={
            str(folder): {"bind": target, "mode": mode}
            for target, (folder, mode) in volumes.items()
        },
        network_mode="none",
        **options,
    )
    client.networks.get("none").disconnect(container)
    net.connect(container, ipv4_address=address)
    container.start()
    return container


def execute(container: Container, command: list[str]) -> tuple[int, str]:
    """Exit code and output of a command in the container."""
    result = container.exec_run(command)
    if result.exit_code is None or not isinstance(result.output, bytes):
        raise TypeError("the command was not run to its end")
    return result.exit_code, result.output.decode()


def until_healthy(container: Container, command: list[str], seconds: float = 15) -> None:
    """Runs the container's documented health command until it succeeds."""
    deadline = time.monotonic() + seconds
    while True:
        code, output = execute(container, command)
        if code == 0:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{command}: {output}\n{container.logs().decode()}")
        time.sleep(0.2)


def certificate(names: list[str]) -> tuple[str, str]:
    """A CA's certificate in PEM, and a key with the chain that it signed for `names`."""
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edge test CA")])
    base = x509.CertificateBuilder().not_valid_before(now - timedelta(hours=1))
    base = base.not_valid_after(now + timedelta(days=1)).issuer_name(ca_name)
    ca = (
        base.subject_name(ca_name)
        .serial_number(1)
        .public_key(ca_key.public_key())
        .add_extension(x509.BasicConstraints(True, 0), True)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        base.subject_name(x509.Name([]))
        .serial_number(2)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return ca.public_bytes(pem).decode(), private + leaf.public_bytes(pem).decode()
