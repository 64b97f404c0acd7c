"""The lab as Pulumi resources: one network, four images, and a container for each role.

`prepare` writes the mounted files first. A container is replaced if its files change, because their
digest is one of its environment variables. No secret is an input of a resource.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_docker as docker

from lab import files, plan
from lab.prepare import prepare

IMAGES = files.LAB / "images"
LABEL = ("tlsgate.lab", "lab")
DEFAULT_BASE = "debian:trixie-slim"
DNS_VOLUME = f"{plan.NETWORK}-dns"


@dataclass(frozen=True, slots=True)
class Role:
    """One container. `mounts`: target → (folder on this machine, writable)."""

    name: str
    image: docker.RemoteImage
    address: str
    digest: str
    mounts: Mapping[str, tuple[Path, bool]]
    memory: int = 128
    environment: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    ports: tuple[tuple[int, int, str], ...] = ()
    """(port inside, port on 127.0.0.1, protocol)."""
    health: tuple[str, ...] = ()
    user_resolver: bool = True
    volumes: tuple[tuple[pulumi.Output[str], str], ...] = ()
    sysctls: Mapping[str, str] | None = None
    hardened: bool = False
    depends: Sequence[pulumi.Resource] = ()


def deploy() -> None:
    """Declare the whole lab."""
    digests = prepare()
    base = os.environ.get("TLSGATE_BASE_IMAGE", DEFAULT_BASE)
    network = docker.Network(
        "network",
        name=plan.NETWORK,
        driver="bridge",
        ipam_configs=[
            docker.NetworkIpamConfigArgs(
                subnet=plan.SUBNET, gateway=plan.HOST_ADDRESS, ip_range=plan.DYNAMIC_RANGE
            )
        ],
        labels=_network_labels(),
    )
    volume = docker.Volume(
        "dns-zones",
        name=DNS_VOLUME,
        labels=[docker.VolumeLabelArgs(label=LABEL[0], value=LABEL[1])],
    )
    peer_image = _image("peer", base, IMAGES / "peer")
    dns = _container(_dns(_image("dns", base, IMAGES / "dns"), digests["dns"], volume), network)
    resolver_image = _image(
        "resolver", base, files.REPOSITORY, files.REPOSITORY / "images" / "resolver"
    )
    resolver = _container(_resolver(resolver_image, digests["resolver"], [dns]), network)
    _container(_ca(_image("pebble", base, _pebble_context()), digests["ca"], [dns]), network)
    for role in _mail_servers(peer_image, digests, [resolver]):
        _container(role, network)
    pulumi.export("network", network.name)
    pulumi.export("peers", [peer.name for peer in plan.PEERS])


def _dns(image: docker.RemoteImage, digest: str, volume: docker.Volume) -> Role:
    return Role(
        "dns",
        image,
        plan.DNS_ADDRESS,
        digest,
        {"/config": (files.DNS / "server", False)},
        memory=256,
        ports=((53, plan.DNS_HOST_PORT, "udp"), (53, plan.DNS_HOST_PORT, "tcp")),
        health=("dns-health",),
        user_resolver=False,
        volumes=((volume.name, "/var/lib/knot"),),
    )


def _resolver(image: docker.RemoteImage, digest: str, depends: Sequence[pulumi.Resource]) -> Role:
    return Role(
        "resolver",
        image,
        plan.RESOLVER_ADDRESS,
        digest,
        {"/config": (files.RESOLVER, False)},
        user_resolver=False,
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
        hardened=True,
        depends=depends,
    )


def _ca(image: docker.RemoteImage, digest: str, depends: Sequence[pulumi.Resource]) -> Role:
    return Role(
        "ca",
        image,
        plan.CA_ADDRESS,
        digest,
        {"/config": (files.CA, False)},
        command=("-dnsserver", f"{plan.DNS_ADDRESS}:53"),
        # Pebble normally waits before each validation; the lab does not need that.
        environment=("PEBBLE_VA_NOSLEEP=1",),
        ports=(
            (plan.ACME_PORT, plan.ACME_PORT, "tcp"),
            (plan.ACME_MANAGEMENT_PORT, plan.ACME_MANAGEMENT_PORT, "tcp"),
        ),
        depends=depends,
    )


def _mail_servers(
    image: docker.RemoteImage, digests: Mapping[str, str], depends: Sequence[pulumi.Resource]
) -> list[Role]:
    roles = [
        Role(
            "policies",
            image,
            plan.POLICY_ADDRESS,
            digests["policies"],
            {"/config": (files.PEERS / "policies", False)},
            entrypoint=("/usr/local/bin/policy-server",),
        ),
        Role(
            "internal",
            image,
            plan.INTERNAL_ADDRESS,
            digests["internal"],
            {
                "/config": (files.PEERS / "internal", False),
                "/mail": (files.MAILBOXES / "internal", True),
            },
            memory=256,
            depends=depends,
        ),
    ]
    for peer in plan.PEERS:
        stripped = peer.transport is plan.Transport.STRIPPED
        roles.append(
            Role(
                peer.name,
                image,
                peer.address,
                digests[peer.name],
                {
                    "/config": (files.PEERS / peer.name, False),
                    "/mail": (files.MAILBOXES / peer.name, True),
                    "/capture": (files.CAPTURES, True),
                },
                environment=(f"LAB_PEER={peer.name}", *(["LAB_PROXY=strip"] if stripped else [])),
                depends=depends,
            )
        )
    return roles


def _pebble_context() -> Path:
    """A build context with the binary that set-up built. Raises LabError without one."""
    binary = shutil.which("pebble")
    if binary is None:
        raise FileNotFoundError(
            "no `pebble` on PATH: run `make setup`, which builds it, and `. .state/env.sh`"
        )
    context = files.folder(files.BUILD / "pebble")
    target = context / "pebble"
    if not target.exists() or target.read_bytes() != Path(binary).read_bytes():
        shutil.copy2(binary, target)
        target.chmod(0o755)
    shutil.copyfile(IMAGES / "pebble" / "Dockerfile", context / "Dockerfile")
    return context


def _image(name: str, base: str, context: Path, source: Path | None = None) -> docker.RemoteImage:
    """An image built from a folder; built again when a file in it changes."""
    source = source or context
    return docker.RemoteImage(
        f"image-{name}",
        name=f"{plan.NETWORK}-{name}",
        build=docker.RemoteImageBuildArgs(
            context=str(context),
            dockerfile=str((source / "Dockerfile").relative_to(context)),
            build_args={"BASE_IMAGE": base},
            force_remove=True,
        ),
        triggers={"files": files.tree_digest(source), "base": base},
        keep_locally=True,
    )


def _container(role: Role, network: docker.Network) -> docker.Container:
    health = docker.ContainerHealthcheckArgs(
        tests=["CMD", *role.health], interval="2s", timeout="5s", retries=30
    )
    return docker.Container(
        role.name,
        name=plan.container_name(role.name),
        image=role.image.image_id,
        # Never a name in the lab's zones: Docker's own DNS would answer it, without DNSSEC.
        hostname=role.name,
        command=list(role.command) or None,
        entrypoints=list(role.entrypoint) or None,
        envs=[f"LAB_FILES={role.digest}", *role.environment],
        dns=[plan.RESOLVER_ADDRESS] if role.user_resolver else None,
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=network.name, ipv4_address=role.address)
        ],
        volumes=[
            docker.ContainerVolumeArgs(
                host_path=str(folder), container_path=target, read_only=not writable
            )
            for target, (folder, writable) in role.mounts.items()
        ]
        + [
            docker.ContainerVolumeArgs(volume_name=name, container_path=target)
            for name, target in role.volumes
        ],
        ports=[
            docker.ContainerPortArgs(internal=inside, external=outside, ip="127.0.0.1", protocol=p)
            for inside, outside, p in role.ports
        ],
        healthcheck=health if role.health else None,
        wait=bool(role.health),
        wait_timeout=60,
        read_only=role.hardened,
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]) if role.hardened else None,
        security_opts=["no-new-privileges:true"],
        sysctls=dict(role.sysctls) if role.sysctls else None,
        memory=role.memory,
        memory_swap=role.memory,
        restart="unless-stopped",
        labels=[docker.ContainerLabelArgs(label=LABEL[0], value=LABEL[1])],
        opts=pulumi.ResourceOptions(delete_before_replace=True, depends_on=list(role.depends)),
    )


def _network_labels() -> list[docker.NetworkLabelArgs]:
    return [docker.NetworkLabelArgs(label=LABEL[0], value=LABEL[1])]
