"""Functions of the components' own dynamic providers that use the Docker engine.

They do what pulumi-docker cannot: run a container to its end, and write files into a volume without
storing their content in Pulumi's state.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import DockerException, NotFound
from docker.models.containers import Container
from docker.types import Mount

AGENT_UID = 10001
"""The user of the agent, the policy helper and the policy host, as set in their images."""
LOG_LINES = 40
INCOMING = "/incoming"
STACK_LABEL = "tlsgate.stack"
"""On everything that a stack makes; its value is the stack's name."""
MINIMUM_API = (1, 41)
"""Older engines do not support all of the containers' hardening."""


_UNFIT: dict[tuple[tuple[str, str], ...], str | None] = {}


class DeploymentError(Exception):
    """A step of the deployment failed; the text is shown to the user."""

    __module__ = "builtins"  # so that Pulumi shows the name without a module


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A named volume at a path of the container."""

    volume: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """A container that runs to its end, with the least privileges that it needs (D14)."""

    name: str
    image: str
    command: Sequence[str]
    mounts: Sequence[VolumeMount] = ()
    network: str | None = None
    dns: Sequence[str] = ()
    user: str | None = None
    capabilities: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Copied to /incoming, in a volume that is removed with the container."""
    labels: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 120
    """Seconds."""


def connect(address: Mapping[str, str] | None = None, *, timeout: int = 180) -> docker.DockerClient:
    """Connect to an engine. `timeout`: seconds per request. Raises DeploymentError.

    `address`: `host` and `cert_path` from `docker_engine.py`. A missing one is read from
    DOCKER_HOST or DOCKER_CERT_PATH; without these, the local engine is used.
    """
    try:
        if address is None:
            return docker.from_env(timeout=timeout)
        return docker.from_env(timeout=timeout, environment={**os.environ, **_variables(address)})
    except DockerException as error:
        cause: BaseException = error
        while cause.__context__ is not None:
            cause = cause.__context__
        raise DeploymentError(
            f"{_setting(address)}: no Docker engine answers at {_address(address)} ({cause}). "
            f"Start it, or set {_setting(address)} to the address of one that runs, and try again"
        ) from None


def _variables(address: Mapping[str, str]) -> dict[str, str]:
    variables = {}
    if host := address.get("host"):
        variables["DOCKER_HOST"] = host
    if folder := address.get("cert_path"):
        variables |= {"DOCKER_CERT_PATH": folder, "DOCKER_TLS_VERIFY": "1"}
    return variables


def require_engine(address: Mapping[str, str] | None = None) -> None:
    """Raise DeploymentError unless an engine answers that supports everything `up` needs."""
    client = connect(address, timeout=20)
    try:
        version = client.version()
    finally:
        client.close()
    offered, setting = str(version["ApiVersion"]), _setting(address)
    if tuple(int(part) for part in offered.split(".")) < MINIMUM_API:
        raise DeploymentError(
            f"{setting}: the Docker engine at {_address(address)} is too old: version "
            f"{version.get('Version')} speaks API {offered}, and 1.41 (Docker 20.10) or later is "
            f"needed. Upgrade it, or set {setting} to the address of another, and try again"
        )


def unfit(address: Mapping[str, str] | None) -> str | None:
    """Return why an engine cannot do all that `up` needs; None if it can.

    Each engine is asked once in a process, which is at most one `up`.
    """
    key = tuple(sorted((address or {}).items()))
    if key not in _UNFIT:
        try:
            require_engine(address)
        except DeploymentError as error:
            _UNFIT[key] = str(error)
        else:
            _UNFIT[key] = None
    return _UNFIT[key]


def _setting(address: Mapping[str, str] | None) -> str:
    return "docker:host" if address and address.get("host") else "DOCKER_HOST"


def _address(address: Mapping[str, str] | None) -> str:
    named = address.get("host") if address else None
    return named or os.environ.get("DOCKER_HOST") or "/var/run/docker.sock"


def archive(files: Mapping[str, bytes], *, uid: int = 0, mode: int = 0o644) -> bytes:
    """Pack files into a tar archive; the same files always give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mode = len(files[name]), uid, uid, mode
            tar.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of the names and contents, in hex."""
    return hashlib.sha256(archive(files)).hexdigest()


def read_host_file(path: str) -> bytes:
    """Read a file of the deploying machine. Raises DeploymentError, which names the file."""
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise DeploymentError(f"{path}: {error.strerror}. Check the path in the config") from None


@contextmanager
def created(client: docker.DockerClient, run: Run) -> Iterator[Container]:
    """Create a container without starting it; remove it afterwards in any case.

    Raises DeploymentError if one of its volumes belongs to another stack.
    """
    refuse_others_volumes(client, run)
    remove_leftover(client, run.name)
    mounts = [Mount(m.target, m.volume, read_only=m.read_only) for m in run.mounts]
    uid = (run.user or "0").partition(":")[0]
    if run.files:
        mounts.append(Mount(INCOMING, None, labels=dict(run.labels)))
    container: Container = client.containers.create(
        run.image,
        list(run.command),
        name=run.name,
        entrypoint=[],
        mounts=mounts,
        network=run.network,
        dns=list(run.dns),
        user=run.user,
        labels=dict(run.labels),
        read_only=True,
        tmpfs={"/tmp": "", "/run/tlsgate": f"uid={uid},mode=0700"},  # noqa: S108
        cap_drop=["ALL"],
        cap_add=list(run.capabilities),
        security_opt=["no-new-privileges:true"],
        mem_limit="1g",
    )
    try:
        if run.files:
            container.put_archive(INCOMING, archive(run.files))
        yield container
    finally:
        container.remove(v=True, force=True)


def refuse_others_volumes(client: docker.DockerClient, run: Run) -> None:
    """Raise DeploymentError if a volume's label names another stack than the run's does.

    A volume without the label is anybody's.
    """
    mine = run.labels.get(STACK_LABEL)
    for mount in run.mounts:
        try:
            labels = client.volumes.get(mount.volume).attrs.get("Labels") or {}
        except NotFound:
            continue
        theirs = labels.get(STACK_LABEL)
        if mine and theirs and mine != theirs:
            raise DeploymentError(
                f"{run.name}: the volume {mount.volume} belongs to the stack {theirs}, and this is"
                f" {mine}. Nothing was written. Give this gateway another stack name"
            )


def remove_leftover(client: docker.DockerClient, name: str) -> None:
    """Remove the container of this name, if an interrupted run left one."""
    try:
        client.containers.get(name).remove(v=True, force=True)
    except NotFound:
        return


def run_to_end(client: docker.DockerClient, run: Run) -> str:
    """Run a container to its end and return its standard output; raise its log if it fails."""
    with created(client, run) as container:
        container.start()
        try:
            code = container.wait(timeout=run.timeout)["StatusCode"]
        except OSError as error:  # requests' time-outs are OSErrors
            raise DeploymentError(
                f"{run.name} did not end within {run.timeout} s ({type(error).__name__})\n"
                + log_tail(container)
            ) from None
        if code != 0:
            raise DeploymentError(log_tail(container))
        output: bytes = container.logs(stdout=True, stderr=False)
        return output.decode(errors="replace")


def log_tail(container: Container) -> str:
    """Return the last lines of a container's standard error, which are written for people.

    If there are none, return the last lines of its standard output, which are events.
    """
    for stderr in (True, False):
        log: bytes = container.logs(stdout=not stderr, stderr=stderr, tail=LOG_LINES)
        if text := log.decode(errors="replace").strip():
            return text
    return "(the container printed nothing)"


def volume_exists(client: docker.DockerClient, name: str) -> bool:
    """Return whether a volume exists."""
    try:
        client.volumes.get(name)
    except NotFound:
        return False
    return True
