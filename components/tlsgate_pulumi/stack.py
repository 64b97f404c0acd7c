"""What all containers of a stack share: names, labels, images and the hardening of D14."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pulumi_docker as docker

from tlsgate_pulumi.settings import ImageSettings

BUILD_CA_VARIABLE = "TLSGATE_BUILD_CA"
NO_EXTRA_CA = "images/no-extra-ca.crt"


@dataclass(frozen=True)
class Stack:
    """The names and labels of one stack; everything that it makes starts with `prefix`."""

    name: str

    @property
    def prefix(self) -> str:
        """In front of every name on the engine."""
        return f"tlsgate-{self.name}"

    def called(self, role: str) -> str:
        """Return the name on the engine of a container, volume, network or image."""
        return f"{self.prefix}-{role}"

    @property
    def labels(self) -> dict[str, str]:
        """On everything that the stack makes on the engine."""
        return {"tlsgate.stack": self.name}

    def volume(
        self, role: str, parent: pulumi.Resource, *, keep: bool = False
    ) -> pulumi.Output[str]:
        """Declare a volume and return its name; `keep`: `pulumi destroy` leaves it."""
        volume = docker.Volume(
            role,
            name=self.called(role),
            labels=[
                docker.VolumeLabelArgs(label=key, value=value) for key, value in self.labels.items()
            ],
            opts=pulumi.ResourceOptions(parent=parent, retain_on_delete=keep),
        )
        return volume.name


def below(
    component: pulumi.Resource, opts: pulumi.ResourceOptions | None
) -> pulumi.ResourceOptions:
    """Return the options of a component's children: Pulumi does not hand `depends_on` down."""
    return pulumi.ResourceOptions(parent=component, depends_on=opts.depends_on if opts else None)


@dataclass(frozen=True)
class ContainerArgs:
    """One long-running container, with the least that it needs.

    `health`: the command that says whether it works; `up` waits for it. `volumes`: path → name.
    `tmpfs`: path → options. `memory`: MiB. `ports`: inside → where the host publishes it.
    `config_digest`: of files that the program reads only at its start; a change replaces it.
    """

    image: pulumi.Input[str]
    memory: int
    health: Sequence[str]
    network: pulumi.Input[str]
    address: str
    dns: Sequence[str] = ()
    volumes: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    writable: frozenset[str] = frozenset()
    """Of `volumes`, the paths that the container may write to."""
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    capabilities: Sequence[str] = ()
    low_ports: bool = False
    """Whether it listens below 1024 as an ordinary user."""
    ports: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    command: Sequence[str] | None = None
    config_digest: pulumi.Input[str] | None = None
    stop_seconds: int = 10


def container(
    stack: Stack, role: str, args: ContainerArgs, opts: pulumi.ResourceOptions
) -> docker.Container:
    """Declare a hardened container (D14); `pulumi up` waits until it is healthy."""
    labels: dict[str, pulumi.Input[str]] = {**stack.labels, "tlsgate.role": role}
    if args.config_digest is not None:
        labels["tlsgate.config"] = args.config_digest
    return docker.Container(
        role,
        name=stack.called(role),
        image=args.image,
        command=list(args.command) if args.command else None,
        # Never the public name: Docker's DNS would answer for it, unsigned, on this network.
        hostname=role,
        labels=[docker.ContainerLabelArgs(label=k, value=v) for k, v in labels.items()],
        envs=[f"{key}={value}" for key, value in sorted(args.environment.items())],
        mounts=[
            docker.ContainerMountArgs(
                type="volume", target=path, source=volume, read_only=path not in args.writable
            )
            for path, volume in args.volumes.items()
        ],
        tmpfs={"/tmp": "", **args.tmpfs},  # noqa: S108 - a file system of the container's own
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(name=args.network, ipv4_address=args.address)
        ],
        dns=list(args.dns),
        ports=[
            docker.ContainerPortArgs(internal=inside, external=port, ip=host)
            for inside, (host, port) in sorted(args.ports.items())
        ],
        read_only=True,
        capabilities=docker.ContainerCapabilitiesArgs(
            drops=["ALL"], adds=[f"CAP_{name}" for name in args.capabilities] or None
        ),
        security_opts=["no-new-privileges:true"],
        sysctls={"net.ipv4.ip_unprivileged_port_start": "0"} if args.low_ports else None,
        memory=args.memory,
        memory_swap=args.memory,
        restart="unless-stopped",
        healthcheck=docker.ContainerHealthcheckArgs(
            tests=["CMD", *args.health],
            interval="5s",
            timeout="10s",
            start_period="20s",
            retries=3,
        ),
        wait=True,
        wait_timeout=120,
        destroy_grace_seconds=args.stop_seconds,
        opts=opts.merge(pulumi.ResourceOptions(delete_before_replace=True)),
    )


def image(
    stack: Stack, role: str, settings: ImageSettings, opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Declare the image of `images/<role>` and return its id; it is built when its files change."""
    digest = build_digest(Path(), role)
    arguments = {"BASE_IMAGE": settings.base}
    if role == "agent":
        # Which proxy signs for the package index is the machine's business, not the stack's.
        own = os.environ.get(BUILD_CA_VARIABLE)
        arguments["EXTRA_CA_FILE"] = settings.build_ca_file or own or NO_EXTRA_CA
    built = docker.RemoteImage(
        f"{role}-image",
        name=f"tlsgate/{stack.name}/{role}:{digest[:16]}",
        build=docker.RemoteImageBuildArgs(
            context=".",
            dockerfile=f"images/{role}/Dockerfile",
            build_args=arguments,
            labels=stack.labels,
            # A build that fails leaves no container of its last step.
            force_remove=True,
        ),
        triggers={"files": digest},
        keep_locally=True,
        opts=opts,
    )
    return built.image_id


def build_digest(root: Path, role: str) -> str:
    """Return the SHA-256 of all that the image of `images/<role>` is built from."""
    dockerfile = root / "images" / role / "Dockerfile"
    sources = [dockerfile, *_copied(root, dockerfile)]
    hasher = hashlib.sha256()
    for path in sorted(set(sources)):
        content = path.read_bytes()
        hasher.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        hasher.update(content)
    return hasher.hexdigest()


def _copied(root: Path, dockerfile: Path) -> list[Path]:
    """Return the files that a Dockerfile copies from its context."""
    found: list[Path] = []
    for line in dockerfile.read_text("utf-8").replace("\\\n", " ").splitlines():
        words = line.split()
        if words[:1] != ["COPY"] or any(word.startswith("--from") for word in words):
            continue
        for source in words[1:-1]:
            path = root / source
            found += path.rglob("*.py") if path.is_dir() else [path] if path.is_file() else []
    return found
