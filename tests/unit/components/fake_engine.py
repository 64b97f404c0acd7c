"""A fake Docker engine that records its calls, for tests of the dynamic providers."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from typing import Any

from docker.errors import NotFound


@dataclass(slots=True)
class FakeContainer:
    """A container that ends with `code`; `logs` are its standard output and error."""

    arguments: dict[str, Any]
    code: int = 0
    output: bytes = b""
    errors: bytes = b""
    hangs: bool = False
    status: str = "running"
    content: dict[str, bytes] = field(default_factory=dict)
    """The files that `get_archive` finds in the requested folder."""
    calls: list[str] = field(default_factory=list)
    put: list[tuple[str, dict[str, tuple[int, int, bytes]]]] = field(default_factory=list)
    """Folder, and file name → user, mode, content."""
    exec_answer: tuple[int, bytes] = (0, b"")
    executed: list[list[str]] = field(default_factory=list)

    def start(self) -> None:
        self.calls.append("start")

    def wait(self, timeout: int) -> dict[str, int]:
        self.calls.append(f"wait {timeout}")
        if self.hangs:
            raise TimeoutError
        return {"StatusCode": self.code}

    def logs(self, *, stdout: bool, stderr: bool, tail: int | str = "all") -> bytes:
        return self.output * stdout + self.errors * stderr

    def remove(self, *, v: bool, force: bool) -> None:
        assert v
        assert force
        self.calls.append("remove")

    def put_archive(self, folder: str, data: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            found = {
                member.name: (member.uid, member.mode, tar.extractfile(member).read())  # type: ignore[union-attr]
                for member in tar.getmembers()
            }
        self.put.append((folder, found))

    def get_archive(self, folder: str) -> tuple[list[bytes], dict[str, Any]]:
        buffer = io.BytesIO()
        name = folder.rpartition("/")[2]
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            top = tarfile.TarInfo(name)
            top.type = tarfile.DIRTYPE
            tar.addfile(top)
            for file, content in self.content.items():
                info = tarfile.TarInfo(f"{name}/{file}")
                info.size, info.uid, info.mtime = len(content), 10001, 1_700_000_000
                tar.addfile(info, io.BytesIO(content))
        data = buffer.getvalue()
        return [data[:700], data[700:]], {}

    def exec_run(self, command: list[str]) -> tuple[int, bytes]:
        self.executed.append(command)
        return self.exec_answer


class FakeEngine:
    """The part of `docker.DockerClient` that the providers use. `next_container`: of `create`."""

    def __init__(self, *volumes: str, **next_container: Any) -> None:
        self.existing = set(volumes)
        self.next_container = next_container
        self.made: list[FakeContainer] = []
        self.running: dict[str, FakeContainer] = {}
        self.containers = self
        self.volumes = FakeVolumes(self.existing)
        self.api = "1.52"
        self.asked = 0

    def version(self) -> dict[str, str]:
        self.asked += 1
        return {"ApiVersion": self.api, "Version": "19.03.15"}

    def close(self) -> None:
        """Nothing is open."""

    def create(self, image: str, command: list[str], **arguments: Any) -> FakeContainer:
        made = FakeContainer(
            {"image": image, "command": command, **arguments}, **self.next_container
        )
        self.made.append(made)
        return made

    def get(self, name: str) -> FakeContainer:
        if name not in self.running:
            raise NotFound(name)
        return self.running[name]

    @property
    def only(self) -> FakeContainer:
        """The one container that was made."""
        (container,) = self.made
        return container


@dataclass(slots=True)
class FakeVolume:
    """A volume, as far as its labels go."""

    attrs: dict[str, Any]


class FakeVolumes:
    """The engine's volumes."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.labels: dict[str, dict[str, str]] = {}

    def get(self, name: str) -> FakeVolume:
        if name not in self.names:
            raise NotFound(name)
        return FakeVolume({"Labels": self.labels.get(name)})
