"""The Docker engine of a gateway: the same one for everything that uses it.

pulumi-docker's plugin manages containers, volumes, networks and images. This package's dynamic
providers run jobs and write into volumes, in another process. The plugin uses its provider's
`host`, otherwise `docker:host` of the stack's config, otherwise the variable DOCKER_HOST. The
dynamic providers get the same address as the input `engine`. It is None if the plugin uses the
environment, so that the state contains nothing of one machine's environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_docker
from docker.context import ContextAPI
from docker.errors import DockerException

from tlsgate_pulumi.engine import DeploymentError

Address = Mapping[str, str]
"""`host` and `cert_path`, for the dynamic providers; a missing one is read from the environment."""
CONTAINER = "docker:index/container:Container"
MATERIALS = ("caMaterial", "certMaterial", "keyMaterial")


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """A Docker engine by its address.

    `host`: `unix:///run/docker.sock` or `tcp://host:port`. `cert_path`: for TLS, the folder of
    ca.pem, cert.pem and key.pem on the deploying machine. Both may come from another resource.
    """

    host: pulumi.Input[str]
    cert_path: pulumi.Input[str] | None = None


def with_engine(
    name: str,
    engine: DockerEngine | str | None,
    opts: pulumi.ResourceOptions | None,
    former: Sequence[pulumi.Output[str]] = (),
) -> pulumi.ResourceOptions | None:
    """Return the component's options, with a Docker provider for the engine if there is one.

    `former`: names that the component had before. If Pulumi created the provider again, it would
    replace everything on the engine.
    """
    if engine is None:
        return opts
    if _has_docker_provider(opts):
        raise pulumi.RunError(
            f"{name}: `engine` and `opts` both name a Docker engine. Remove one of them"
        )
    chosen = DockerEngine(engine) if isinstance(engine, str) else engine
    provider = pulumi_docker.Provider(
        f"{name}-engine",
        host=chosen.host,
        cert_path=chosen.cert_path,
        opts=pulumi.ResourceOptions(
            parent=opts.parent if opts else None,
            aliases=[one.apply(lambda old: pulumi.Alias(name=f"{old}-engine")) for one in former],
        ),
    )
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[provider]))


def _has_docker_provider(opts: pulumi.ResourceOptions | None) -> bool:
    if opts is None:
        return False
    given = opts.providers.values() if isinstance(opts.providers, Mapping) else opts.providers
    return any(one.package == "docker" for one in (*(given or ()), opts.provider) if one)


def engine_of(
    component: pulumi.Resource,
) -> Address | pulumi.Output[Address | None] | None:
    """Return the input `engine` for the dynamic providers in a component.

    Raises pulumi.RunError if they and the plugin could use different engines.
    """
    provider = component.get_provider(CONTAINER)
    if provider is None:
        try:
            return stack_engine()
        except DeploymentError as error:
            raise pulumi.RunError(str(error)) from None
    if not isinstance(provider, pulumi_docker.Provider):
        raise pulumi.RunError("the provider for `docker` must be a pulumi_docker.Provider")
    return pulumi.Output.all(
        host=provider.host,
        cert_path=provider.cert_path,
        context=provider.context,
        material=provider.key_material,
    ).apply(_provider_address)


def _provider_address(found: Mapping[str, Any]) -> Address:
    if found["context"] or found["material"]:
        raise pulumi.RunError(
            "the Docker provider names its engine by a Docker context or contains a key. Jobs"
            " cannot use these. Set its `host` instead, and `cert_path` for TLS"
        )
    if other := _other_context(os.environ, found["host"], _context_host):
        raise pulumi.RunError(other)
    return {key: found[key] for key in ("host", "cert_path") if found[key]}


def _other_context(
    environment: Mapping[str, str], host: str | None, host_of: Callable[[str], str | None]
) -> str | None:
    """Return what is wrong if the plugin would go by a context and not by its provider's `host`."""
    context = environment.get("DOCKER_CONTEXT")
    if not context or context == "default" or (host and host_of(context) == host):
        return None
    return (
        f"DOCKER_CONTEXT: the Docker context {context} leads to"
        f" {host_of(context) or 'no known address'}, but the gateway's Docker provider to"
        f" {host or 'the local engine'}: two Docker engines for one gateway. Unset DOCKER_CONTEXT"
    )


def stack_engine() -> Address | None:
    """Return the engine of the running stack's config; None if the environment decides."""
    config = pulumi.Config("docker")
    keys = ("host", "certPath", "context", *MATERIALS)
    return choose_engine({key: config.get(key) for key in keys}, os.environ, _context_host)


def _context_host(name: str) -> str | None:
    """Return the address of a Docker context; None if there is no such context."""
    try:
        found = ContextAPI.get_context(name)
    except (DockerException, OSError, ValueError):
        return None
    return found.Host if found else None


def choose_engine(
    config: Mapping[str, str | None],
    environment: Mapping[str, str],
    host_of: Callable[[str], str | None],
) -> Address | None:
    """Return the engine of the config `docker:…`; None if the environment decides.

    `host_of` returns the address of a Docker context. Raises DeploymentError with all reasons why
    two different engines could be used.
    """
    problems = []
    for key, variable in (("host", "DOCKER_HOST"), ("certPath", "DOCKER_CERT_PATH")):
        ours, theirs = config.get(key), environment.get(variable)
        if ours and theirs and ours != theirs:
            problems.append(
                f"docker:{key}: is {ours}, but {variable} is {theirs}: two Docker engines for one"
                f" gateway. Set only one of them, or both to the same value"
            )
    # pulumi-docker prefers a context to everything else.
    address = config.get("host") or environment.get("DOCKER_HOST")
    contexts = {
        "docker:context": config.get("context"),
        "DOCKER_CONTEXT": environment.get("DOCKER_CONTEXT"),
    }
    problems += [
        f"{name}: the Docker context {value} is for {host_of(value) or 'an unknown address'}, but"
        f" docker:host and DOCKER_HOST are for {address or 'the local engine'}: two Docker engines"
        f" for one gateway. Set DOCKER_HOST to the context's address, or unset {name}"
        for name, value in contexts.items()
        if value and value != "default" and (address is None or host_of(value) != address)
    ]
    problems += [
        f"docker:{key}: jobs and deliveries read keys from files only. Set docker:certPath instead"
        for key in MATERIALS
        if config.get(key)
    ]
    if problems:
        raise DeploymentError("\n".join(problems))
    named = {"host": config.get("host"), "cert_path": config.get("certPath")}
    return {key: value for key, value in named.items() if value} or None
