"""VolumeFiles: the content of a volume, written by `up`.

pulumi-docker cannot upload files into a container with a read-only root, and it stores uploads in
the state. So a program's configuration is written to a volume. A secret is copied there directly
from a file of the deploying machine: the state contains only its path and a digest (D1).
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.dynamic import (
    CheckResult,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from tlsgate_pulumi import engine
from tlsgate_pulumi.docker_engine import Address
from tlsgate_pulumi.dynamic import Props, Provider, changed_keys, check_engine, difference

TARGET = "/target"
WIPE = ["find", TARGET, "-mindepth", "1", "-delete"]


@dataclass(frozen=True)
class VolumeFilesArgs:
    """The content of the volume. `secrets`: name → path on the deploying machine.

    `engine`: see `docker_engine.py`.
    """

    volume: pulumi.Input[str]
    image: pulumi.Input[str]
    labels: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    engine: pulumi.Input[Address | None] = None


def content_of(files: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, bytes]:
    """Return the content of all files; secrets are read from the deploying machine."""
    content = {name: text.encode() for name, text in files.items()}
    return content | {name: engine.read_host_file(path) for name, path in secrets.items()}


def content_digest(files: Mapping[str, str], secrets: Mapping[str, str]) -> str:
    """Return the SHA-256 of the whole content, with that of the secrets."""
    return engine.digest_of(content_of(files, secrets))


def unpack(stream: bytes) -> dict[str, bytes]:
    """Return the files in the engine's archive of the target folder."""
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        return {
            member.name.partition("/")[2]: extracted.read()
            for member in tar.getmembers()
            if (extracted := tar.extractfile(member)) is not None
        }


class VolumeFilesProvider(Provider):
    """Writes the whole content; refresh reads it again and compares digests."""

    def check(self, _olds: Props, news: Props) -> CheckResult:
        """Refuse an engine that is not fit."""
        return check_engine(news)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Write again if the content or the volume changed."""
        changed = changed_keys(_olds, _news, ("volume", "digest", "secrets", "engine"))
        return difference(changed, replaces=("volume",))

    def create(self, props: Props) -> CreateResult:
        """Write the files."""
        return CreateResult(props["volume"], self._write(props))

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Write all files again."""
        return UpdateResult(self._write(_news))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Read the files again; only their digest leaves this function."""
        client = engine.connect(props.get("engine"))
        if not engine.volume_exists(client, props["volume"]):
            return ReadResult("", {})
        with engine.created(client, self._holder(props)) as container:
            stream, _ = container.get_archive(TARGET)
            live = engine.digest_of(unpack(b"".join(stream)))
        return ReadResult(id_, {**props, "digest": live})

    def _write(self, props: Props) -> Props:
        content = content_of(props["files"], props["secrets"])
        client = engine.connect(props.get("engine"))
        with engine.created(client, self._holder(props)) as container:
            container.start()
            if container.wait(timeout=60)["StatusCode"] != 0:
                raise engine.DeploymentError(engine.log_tail(container))
            for names, mode in ((props["files"], 0o644), (props["secrets"], 0o600)):
                part = {name: content[name] for name in names}
                packed = engine.archive(part, uid=engine.AGENT_UID, mode=mode)
                container.put_archive(TARGET, packed)
        return {**props, "digest": engine.digest_of(content)}

    def _holder(self, props: Props) -> engine.Run:
        return engine.Run(
            name=f"{props['volume']}-writer",
            image=props["image"],
            command=WIPE,
            mounts=[engine.VolumeMount(props["volume"], TARGET)],
            user="0",
            capabilities=["DAC_OVERRIDE"],
            labels=props["labels"],
        )


class VolumeFiles(Resource, module="tlsgate", name="VolumeFiles"):
    """The content of a volume. Outputs: `digest`, the SHA-256 of names and contents."""

    digest: pulumi.Output[str]

    def __init__(
        self, name: str, args: VolumeFilesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        props: dict[str, Any] = {
            "volume": args.volume,
            "image": args.image,
            "labels": dict(args.labels),
            "files": dict(args.files),
            "secrets": dict(args.secrets),
            "digest": content_digest(args.files, args.secrets),
            "engine": args.engine,
        }
        super().__init__(VolumeFilesProvider(), name, props, opts)
