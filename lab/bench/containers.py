"""The containers of a benchmark: created for one run from this tree's images, then removed.

A container only sleeps at first, so that its files can be copied before a program starts.
Everything has the label `tlsgate.bench` with the run's name, by which it is removed, also after an
interruption, and the lab's label, by which `make clean` removes it. The images stay: they make the
next run faster.
"""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
import tarfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import docker
from docker.errors import BuildError
from docker.models.containers import Container

from lab import files
from lab.bring_up import engine
from lab.commands import LabError

LABELS = {"tlsgate.lab": "bench"}
RUN_LABEL = "tlsgate.bench"
LIFE_SECONDS = 3600
"""After this time a container ends, even if its run did not remove it."""
DEFAULT_BASE = "debian:trixie-slim"
PARTY = Path(__file__).with_name("party.py")
"""Every container has it as /party/party.py."""
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory use of a container in MiB; `used` is without the cache that the kernel can drop."""

    used: float
    anonymous: float


class Bench:
    """One run's network, volumes and containers."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.prefix = f"tlsgate-bench-{uuid.uuid4().hex[:6]}"
        self._labels = {**LABELS, RUN_LABEL: self.prefix}
        self._images: dict[str, str] = {}
        self.client.networks.create(self.prefix, labels=self._labels)

    def image(self, role: str) -> str:
        """The id of the image of images/<role>, built from this tree."""
        if role not in self._images:
            base = os.environ.get("TLSGATE_BASE_IMAGE", DEFAULT_BASE)
            try:
                built, _ = self.client.images.build(
                    path=str(files.REPOSITORY),
                    dockerfile=f"images/{role}/Dockerfile",
                    tag=f"tlsgate-bench/{role}",
                    buildargs={"BASE_IMAGE": base},
                    labels=LABELS,
                    rm=True,
                    forcerm=True,
                )
            except BuildError as fault:
                raise LabError(f"the image {role} cannot be built: {fault}") from fault
            self._images[role] = str(built.id)
        return self._images[role]

    def volume(self, name: str) -> str:
        """A volume's name on the engine."""
        made = self.client.volumes.create(f"{self.prefix}-{name}", labels=self._labels)
        return str(made.name)

    def start(self, name: str, role: str = "postfix", **options: Any) -> Container:
        """A container of the image `role` that sleeps; programs are started in it later."""
        container: Container = self.client.containers.run(
            self.image(role),
            entrypoint=["sleep", str(LIFE_SECONDS)],
            name=f"{self.prefix}-{name}",
            hostname=name,
            network=self.prefix,
            labels=self._labels,
            detach=True,
            init=True,
            **{"user": "0", **options},
        )
        run(container, "mkdir", "-p", "/party")
        put(container, {PARTY.name: PARTY.read_text()}, "/party")
        return container

    def address(self, container: Container) -> str:
        """The container's address on the run's network."""
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"]
        return str(networks[self.prefix]["IPAddress"])

    def close(self) -> None:
        """Removes everything of this run."""
        mine: Any = {"label": f"{RUN_LABEL}={self.prefix}"}
        for container in self.client.containers.list(all=True, filters=mine):
            container.remove(force=True, v=True)
        for volume in self.client.volumes.list(filters=mine):
            volume.remove(force=True)
        for network in self.client.networks.list(filters=mine):
            network.remove()
        self.client.close()


@contextmanager
def bench() -> Iterator[Bench]:
    """A run of a benchmark, which is cleaned up at the end and also on SIGTERM."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number in before:
        signal.signal(number, _end)
    made = Bench(engine())
    try:
        yield made
    finally:
        # A second Ctrl-C would leave containers behind.
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        try:
            made.close()
        finally:
            for number, handler in {**before, signal.SIGINT: interrupt}.items():
                signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def put(container: Container, texts: Mapping[str, str], folder: str) -> None:
    """Copy files to a folder of the container."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in texts.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text.encode()), 0o644
            tar.addfile(info, io.BytesIO(text.encode()))
    container.put_archive(folder, buffer.getvalue())


def run(container: Container, *command: str) -> str:
    """Run a command and return its output. Raises LabError if it fails."""
    code, output = container.exec_run(list(command))
    text = output.decode(errors="replace") if isinstance(output, bytes) else ""
    if code != 0:
        raise LabError(f"{container.name}: `{command[0]}` failed: {text[-500:]}")
    return text


def background(container: Container, command: Sequence[str], output: str = "/dev/null") -> None:
    """Start a command in the background; `output`: the file in the container for its output."""
    line = f"exec {shlex.join(command)} >>{output} 2>&1"
    container.exec_run(["sh", "-c", line], workdir="/party", detach=True)


def party(container: Container, *arguments: str, output: str = "/dev/null") -> None:
    """Start a role of party.py in the background."""
    background(container, ["python3", PARTY.name, *arguments], output)


def until(container: Container, condition: str, seconds: float) -> None:
    """Wait for a shell condition inside the container; raise LabError if it is never true."""
    # One command in the container: polling from outside would cost the machine more than what is
    # measured.
    loop = f"until {condition}; do sleep 0.2; done"
    run(container, "timeout", str(round(seconds)), "bash", "-c", loop)


def processor_seconds(container: Container) -> float:
    """Processor seconds of everything that ran in the container so far."""
    return float(_stats(container)["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


def memory(container: Container) -> Memory:
    """The container's present memory use."""
    return memory_of(_stats(container)["memory_stats"])


def memory_of(stats: Mapping[str, Any]) -> Memory:
    """The memory use from the engine's statistics, for both versions of control groups."""
    detail = stats["stats"]
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    anonymous = detail.get("total_rss", detail.get("anon", 0))
    return Memory((stats["usage"] - cache) / _MIB, anonymous / _MIB)


def _stats(container: Container) -> dict[str, Any]:
    client = container.client
    if client is None or container.id is None:
        raise LabError(f"{container.name} is on no engine")
    stats: dict[str, Any] = client.api.stats(container.id, stream=False, one_shot=True)
    return stats
