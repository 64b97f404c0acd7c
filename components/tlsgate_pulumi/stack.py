"""What all parts of a gateway have in common: names, labels, options, hardening (D14)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_docker as docker
from pulumi.runtime.resource import all_aliases

from tlsgate_pulumi.build_context import BuildContext
from tlsgate_pulumi.docker_engine import Address
from tlsgate_pulumi.engine import STACK_LABEL

FIRST_GATEWAY = "gateway"
"""The name of the component in this repository's own stacks."""


@dataclass(frozen=True)
class Stack:
    """The names and labels of one gateway.

    `name`: all its names on the Docker engine start with `tlsgate-<name>`. `gateway`: the name of
    its component; the names of its resources in Pulumi start with it, so that one program can have
    several gateways. `engine`: the address of the engine, for its dynamic providers. `former`: the
    names that the component had before (`former_names`).
    """

    name: str
    gateway: str = FIRST_GATEWAY
    engine: pulumi.Input[Address | None] = None
    former: Sequence[pulumi.Output[str]] = ()

    @property
    def prefix(self) -> str:
        """The prefix of all names on the Docker engine."""
        return f"tlsgate-{self.name}"

    def docker_name(self, role: str) -> str:
        """Return the name of a container, volume, network or image on the Docker engine."""
        return f"{self.prefix}-{role}"

    def resource_name(self, role: str) -> str:
        """Return the name of a resource in Pulumi."""
        return f"{self.gateway}-{role}"

    def options(
        self,
        role: str,
        own: pulumi.ResourceOptions,
        *,
        after: Sequence[pulumi.Resource] = (),
        keep: bool = False,
    ) -> pulumi.ResourceOptions:
        """Return a child's options: those of its component, `own`, and its dependencies, `after`.

        `keep`: `pulumi destroy` does not delete it. The aliases avoid a replacement. One is for
        older stacks, which had only one gateway: names there do not start with its name. The others
        are for a gateway that is renamed by `aliases`: Pulumi renames a child only if its name
        starts with its parent's, and here all names start with the gateway's.
        """
        old: list[pulumi.Input[str | pulumi.Alias]] = []
        if self.gateway == FIRST_GATEWAY:
            old.append(pulumi.Alias(name=role))
        for former in self.former:
            old.append(former.apply(lambda name: pulumi.Alias(name=f"{name}-{role}")))
            old.append(former.apply(lambda name: pulumi.Alias(name=_first_name(name, role))))
        return own.merge(
            pulumi.ResourceOptions(
                aliases=old or None, depends_on=list(after), retain_on_delete=keep or None
            )
        )

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that the stack creates on the Docker engine."""
        return {STACK_LABEL: self.name}

    def volume(
        self, role: str, own: pulumi.ResourceOptions, *, keep: bool = False
    ) -> pulumi.Output[str]:
        """Declare a volume and return its name. `keep`: `pulumi destroy` does not delete it."""
        volume = docker.Volume(
            self.resource_name(role),
            name=self.docker_name(role),
            labels=[
                docker.VolumeLabelArgs(label=key, value=value) for key, value in self.labels.items()
            ],
            opts=self.options(role, own, keep=keep),
        )
        return volume.name


def _first_name(former: str, role: str) -> str:
    return role if former == FIRST_GATEWAY else f"{former}-{role}"


def former_names(
    kind: str, name: str, opts: pulumi.ResourceOptions | None
) -> list[pulumi.Output[str]]:
    """Return the names that a component had before, by its own `aliases` and its parent's.

    `kind`: its type. A name may be the same as today's.
    """
    if opts is None:
        return []
    urns = all_aliases(opts.aliases, name, kind, opts.parent)
    return [pulumi.Output.from_input(urn).apply(lambda u: u.rpartition("::")[2]) for urn in urns]


def child_options(
    component: pulumi.Resource, opts: pulumi.ResourceOptions | None
) -> pulumi.ResourceOptions:
    """Return the options of a component's children: Pulumi does not pass on `depends_on`."""
    return pulumi.ResourceOptions(parent=component, depends_on=opts.depends_on if opts else None)


@dataclass(frozen=True)
class ContainerArgs:
    """A long-running container, with the least privileges that it needs.

    `health`: the command of its health check; `up` waits until it succeeds. `volumes`: path → name.
    `tmpfs`: path → options. `memory`: MiB. `ports`: port in the container → address and port on the
    host. `config_digest`: of files that the program reads only when it starts; if it changes, the
    container is replaced. `stop_seconds`: the time to stop by itself.
    """

    image: pulumi.Input[str]
    memory: int
    health: Sequence[str]
    network: pulumi.Input[str]
    address: str
    dns: Sequence[str] = ()
    volumes: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    writable: frozenset[str] = frozenset()
    """The paths in `volumes` that the container may write to."""
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    capabilities: Sequence[str] = ()
    low_ports: bool = False
    """Whether it listens on ports below 1024 as an ordinary user."""
    ports: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    command: Sequence[str] | None = None
    config_digest: pulumi.Input[str] | None = None
    stop_seconds: int = 10


def container(
    stack: Stack,
    role: str,
    args: ContainerArgs,
    own: pulumi.ResourceOptions,
    after: Sequence[pulumi.Resource] = (),
) -> docker.Container:
    """Declare a hardened container (D14); `pulumi up` waits until it is healthy."""
    labels: dict[str, pulumi.Input[str]] = {**stack.labels, "tlsgate.role": role}
    if args.config_digest is not None:
        labels["tlsgate.config"] = args.config_digest
    return docker.Container(
        stack.resource_name(role),
        name=stack.docker_name(role),
        image=args.image,
        command=list(args.command) if args.command else None,
        # Never the public name: Docker's DNS would answer for it on this network, unsigned.
        hostname=role,
        labels=[docker.ContainerLabelArgs(label=k, value=v) for k, v in labels.items()],
        envs=[f"{key}={value}" for key, value in sorted(args.environment.items())],
        mounts=[
            docker.ContainerMountArgs(
                type="volume", target=path, source=volume, read_only=path not in args.writable
            )
            for path, volume in args.volumes.items()
        ],
        tmpfs={"/tmp": "", **args.tmpfs},  # noqa: S108 - in the container
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
        opts=stack.options(role, own, after=after).merge(
            pulumi.ResourceOptions(delete_before_replace=True)
        ),
    )


def image(
    stack: Stack, role: str, base: str, context: BuildContext, own: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Declare the image of `images/<role>` and return its id; it is rebuilt if its files change."""
    digest = context.digest(role)
    arguments = {"BASE_IMAGE": base}
    if role == "agent":
        arguments["EXTRA_CA_FILE"] = context.extra_ca
    built = docker.RemoteImage(
        stack.resource_name(f"{role}-image"),
        name=f"tlsgate/{stack.name}/{role}:{digest[:16]}",
        build=docker.RemoteImageBuildArgs(
            context=context.folder,
            dockerfile=f"images/{role}/Dockerfile",
            build_args=arguments,
            labels=stack.labels,
            # A build that fails leaves no container of its last step.
            force_remove=True,
        ),
        triggers={"files": digest},
        keep_locally=True,
        opts=stack.options(f"{role}-image", own),
    )
    return built.image_id
