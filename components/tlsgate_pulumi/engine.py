"""The Docker engine as the components' own dynamic providers use it.

pulumi-docker declares what runs; these few functions do what it cannot: run a container to its
end, and put files into a volume without their content passing through Pulumi's state.
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
"""The user that the agent, the policy helper and the policy host run as (their images say so)."""
LOG_LINES = 40
INCOMING = "/incoming"
STACK_LABEL = "tlsgate.stack"
"""On everything that a stack makes; its value is the stack's name."""
MINIMUM_API = (1, 41)
"""Older engines lack a part of the containers' hardening."""


_UNFIT: dict[tuple[tuple[str, str], ...], str | None] = {}


class DeploymentError(Exception):
    """A step of the deployment failed; the text is what the user reads."""

    __module__ = "builtins"  # shown without a module's name in front


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A named volume at a path of the container."""

    volume: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One container that runs to its end, with the least that it needs (D14)."""

    name: str
    image: str
    command: Sequence[str]
    mounts: Sequence[VolumeMount] = ()
    network: str | None = None
    dns: Sequence[str] = ()
    user: str | None = None
    capabilities: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Put under /incoming, in a volume that goes with the container."""
    labels: Mapping[str, str] = field(default_factory=dict)
    timeout: int = 120
    """Seconds."""


def connect(at: Mapping[str, str] | None = None, *, timeout: int = 180) -> docker.DockerClient:
    """Connect to an engine; `timeout` in seconds a request.

    `at`: `host` and `cert_path`, as `docker_engine.py` chose them; what is missing is taken from
    DOCKER_HOST and DOCKER_CERT_PATH, and without these the local engine is used.
    """
    try:
        if at is None:
            return docker.from_env(timeout=timeout)
        return docker.from_env(timeout=timeout, environment={**os.environ, **_variables(at)})
    except DockerException as error:
        cause: BaseException = error
        while cause.__context__ is not None:
            cause = cause.__context__
        raise DeploymentError(
            f"{_setting(at)}: no Docker engine answers at {_address(at)} ({cause}). "
            f"Start it, or set {_setting(at)} to the address of one that runs, and repeat"
        ) from None


def _variables(at: Mapping[str, str]) -> dict[str, str]:
    variables = {}
    if host := at.get("host"):
        variables["DOCKER_HOST"] = host
    if folder := at.get("cert_path"):
        variables |= {"DOCKER_CERT_PATH": folder, "DOCKER_TLS_VERIFY": "1"}
    return variables


def require_engine(at: Mapping[str, str] | None = None) -> None:
    """Raise DeploymentError unless an engine answers that can do all that `up` will ask of it."""
    client = connect(at, timeout=20)
    try:
        version = client.version()
    finally:
        client.close()
    offered = str(version["ApiVersion"])
    if tuple(int(part) for part in offered.split(".")) < MINIMUM_API:
        raise DeploymentError(
            f"{_setting(at)}: the Docker engine at {_address(at)} is too old: version "
            f"{version.get('Version')} speaks API {offered}, and 1.41 (Docker 20.10) or later is "
            f"needed. Upgrade it, or set {_setting(at)} to the address of another, and repeat"
        )


def unfit(at: Mapping[str, str] | None) -> str | None:
    """Return why an engine cannot do what `up` will ask of it; None if it can.

    Each engine is asked once in the life of a process, which is at most one `up`.
    """
    key = tuple(sorted((at or {}).items()))
    if key not in _UNFIT:
        try:
            require_engine(at)
        except DeploymentError as error:
            _UNFIT[key] = str(error)
        else:
            _UNFIT[key] = None
    return _UNFIT[key]


def _setting(at: Mapping[str, str] | None) -> str:
    return "docker:host" if at and at.get("host") else "DOCKER_HOST"


def _address(at: Mapping[str, str] | None) -> str:
    named = at.get("host") if at else None
    return named or os.environ.get("DOCKER_HOST") or "/var/run/docker.sock"


def archive(files: Mapping[str, bytes], *, uid: int = 0, mode: int = 0o644) -> bytes:
    """Pack files into a tar archive; the same files give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mode = len(files[name]), uid, uid, mode
            tar.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256, in hex, of names and contents."""
    return hashlib.sha256(archive(files)).hexdigest()


def read_host_file(path: str) -> bytes:
    """Read a file of the deploying machine, with an error that names it."""
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise DeploymentError(f"{path}: {error.strerror}. Check the path in the config") from None


@contextmanager
def created(client: docker.DockerClient, run: Run) -> Iterator[Container]:
    """Create a container, not started, and remove it afterwards in any case.

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
    """Remove what an interrupted run left under this name."""
    try:
        client.containers.get(name).remove(v=True, force=True)
    except NotFound:
        return


def run_to_end(client: docker.DockerClient, run: Run) -> str:
    """Run a container to its end and return its standard output; raise with its log if it fails."""
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
    """Return the last lines that a container printed for people, on standard error.

    What is on standard output are events; they tell only where there is nothing else.
    """
    for stderr in (True, False):
        log: bytes = container.logs(stdout=not stderr, stderr=stderr, tail=LOG_LINES)
        if text := log.decode(errors="replace").strip():
            return text
    return "(the container printed nothing)"


def volume_exists(client: docker.DockerClient, name: str) -> bool:
    """Tell whether a named volume is there."""
    try:
        client.volumes.get(name)
    except NotFound:
        return False
    return True
